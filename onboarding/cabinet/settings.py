"""The cabinet's settings: pausing messages, and removing our device from the salon's phone."""

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from marketplace.models import Company
from marketplace.salons import lifecycle
from onboarding.cabinet import condition, outage_email, sessions
from onboarding.cabinet.views import BY, back_to, cabinet_view, render_cabinet


@require_safe
@cabinet_view
def settings(request: HttpRequest, salon: Company) -> HttpResponse:
    """What can be set, and how it is now."""
    session = salon.session
    context = {
        "held_by_support": condition.is_held_by_support(salon),
        "paused": condition.is_paused_by_owner(salon),
        "held_by_others": bool(session and session.sending_paused),
        "linked": bool(session and session.is_linked),
        **outage_email.context(salon),
    }
    return render_cabinet(request, salon, "cabinet/settings.html", context)


@require_POST
@cabinet_view
def pause(request: HttpRequest, salon: Company) -> HttpResponse:
    """Hold the number's messages back."""
    with transaction.atomic():
        lifecycle.pause_sending(salon, by=BY)
    sessions.flash(request, _("Sending is paused. Messages wait until you resume it."))
    return back_to("cabinet-settings", salon)


@require_POST
@cabinet_view
def resume(request: HttpRequest, salon: Company) -> HttpResponse:
    """Let the number's messages go again."""
    with transaction.atomic():
        lifecycle.resume_sending(salon, by=BY)
    if salon.session is not None:
        salon.session.refresh_from_db(fields=["sending_paused"])
    if condition.is_held_by_support(salon):
        sessions.flash(request, _("Your pause has ended. Support's stays: messages still wait."), tone="bad")
    else:
        sessions.flash(request, _("Sending goes on."))
    return back_to("cabinet-settings", salon)


@require_http_methods(["GET", "HEAD", "POST"])
@cabinet_view
def unlink(request: HttpRequest, salon: Company) -> HttpResponse:
    """GET says what unlinking does and asks; POST does it."""
    if request.method != "POST":
        session = salon.session
        others = session.companies.exclude(pk=salon.pk)[:50] if session else []
        return render_cabinet(request, salon, "cabinet/unlink.html", {"others": others})
    with transaction.atomic():
        unlinked = lifecycle.unlink(salon, by=BY)
    text = _("WhatsApp is being unlinked.") if unlinked else _("No phone is linked.")
    sessions.flash(request, text, tone="good" if unlinked else "bad")
    return back_to("cabinet-home", salon)
