"""The screen “Messages” of a salon: what was sent to whom, one message's story, sending again, the file."""

from datetime import timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from limits import RateLimitItemPerHour

from config.shared import rate_limits
from marketplace.inbound import resending
from marketplace.models import Company, MarketplaceEvent
from onboarding.cabinet import message_lists, sessions
from onboarding.cabinet.message_lists import Choice, MessageList
from onboarding.cabinet.views import BY, back_to, cabinet_view, render_cabinet
from onboarding.rendering import pages
from whatsapp.messages import story
from whatsapp.messages.message_queue import NotResendable
from whatsapp.models import Message

EXPORT_DAYS = 92
EXPORTS = RateLimitItemPerHour(10)


@require_safe
@cabinet_view
def messages(request: HttpRequest, salon: Company) -> HttpResponse:
    """The list, newest first: `state`, `kind` and `q` choose, `before` goes on."""
    listed = MessageList.read(salon, request.GET)
    context = {
        "list": listed,
        "choice": listed.choice,
        "states": message_lists.states(listed.choice),
        "kinds": message_lists.kinds(listed.choice),
        "export_days": EXPORT_DAYS,
        "export_rows": message_lists.EXPORT_ROWS,
    }
    return render_cabinet(request, salon, "cabinet/messages.html", context)


@require_safe
@cabinet_view
def message_story(request: HttpRequest, salon: Company, message_id: int) -> HttpResponse:
    """What happened to one message, and whether it can be sent again."""
    message = _message(salon, message_id)
    context: dict[str, Any] = {
        "message": message_lists.Row.of(message),
        "stored": message,
        "steps": list(story.steps(message)),
        "waits_for": story.waits_for(message),
        "why_not": resending.why_not(message),
    }
    return render_cabinet(request, salon, "cabinet/message_story.html", context)


@require_POST
@cabinet_view
def resend(request: HttpRequest, salon: Company, message_id: int) -> HttpResponse:
    """Queue the message once more; pressing twice sends one copy."""
    message = _message(salon, message_id)
    try:
        copy = resending.resend(message)
    except NotResendable:
        text = resending.why_not(message) or _("A copy of it is on its way or has arrived already.")
        sessions.flash(request, text, tone="bad")
        return back_to("cabinet-messages-story", salon, message_id=message.pk)
    salon.note(MarketplaceEvent.Type.MESSAGE_RESENT, by=BY, message=message.pk, copy=copy.pk)
    sessions.flash(request, _("It goes out again."))
    return back_to("cabinet-messages-story", salon, message_id=copy.pk)


@require_POST
@cabinet_view
def export(request: HttpRequest, salon: Company) -> HttpResponseBase:
    """The messages of the last months as a CSV file: those that `state`, `kind` and `q` choose."""
    if not rate_limits.hit(EXPORTS, "cabinet-export", str(salon.salon_id)).allowed:
        return pages.error("too_many_actions")
    choice = Choice.read(request.POST)
    if choice.problem:
        sessions.flash(request, choice.problem, tone="bad")
        return back_to("cabinet-messages", salon)
    chosen = {name: value for name, value in choice.fields if name != "q"}  # a phone is not kept in an event
    salon.note(MarketplaceEvent.Type.MESSAGES_EXPORTED, by=BY, days=EXPORT_DAYS, **chosen)
    since = timezone.now() - timedelta(days=EXPORT_DAYS)
    lines = message_lists.export(salon, choice=choice, since=since, language=get_language() or "en")
    name = f"messages-{salon.salon_id}-{timezone.now():%Y%m%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


def _message(salon: Company, message_id: int) -> Message:
    found = message_lists.messages_of(salon).filter(pk=message_id).select_related("session").first()
    if found is None:
        raise Http404
    return found
