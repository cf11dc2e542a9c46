"""The clients who want no messages from the salon: the list, adding one, and taking one off it."""

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from config.shared.masking import mask_phone
from marketplace.inbound import opt_outs
from marketplace.models import Company, MarketplaceEvent, OptOut
from marketplace.salons.phone_numbers import NotAPhone, digits_for_salon, region_of_salon
from onboarding.cabinet import sessions
from onboarding.cabinet.views import BY, back_to, cabinet_view, render_cabinet
from onboarding.rendering import phones

MOST = 200  # shown at once, the latest
LONGEST_PHONE = 40  # characters
Event = MarketplaceEvent.Type


@require_http_methods(["GET", "HEAD", "POST"])
@cabinet_view
def opted_out(request: HttpRequest, salon: Company) -> HttpResponse:
    """The list; a POST adds `phone` with `scope`."""
    if request.method == "POST":
        return _add(request, salon)
    rows = OptOut.objects.filter(company=salon, undone_at__isnull=True).exclude(phone="")
    context = {
        "rows": [(row, phones.formatted(row.phone)) for row in rows.order_by("-said_at")[:MOST]],
        "scopes": OptOut.Scope.choices,
        "most": MOST,
        "phone_example": phones.example(region_of_salon(salon)),
    }
    return render_cabinet(request, salon, "cabinet/opt_outs.html", context)


def _add(request: HttpRequest, salon: Company) -> HttpResponse:
    scope = request.POST.get("scope", "")
    try:
        phone = digits_for_salon(request.POST.get("phone", "")[:LONGEST_PHONE], salon)
    except NotAPhone:
        sessions.flash(request, _("This does not look like a phone number."), tone="bad")
        return back_to("cabinet-messages-opt-outs", salon)
    if scope not in OptOut.Scope.values:
        scope = OptOut.Scope.EVERYTHING
    if opt_outs.opt_out(company_ids=[salon.pk], phone=phone, scope=scope, said_by=BY):
        salon.note(Event.OPT_OUT_CHANGED, by=BY, phone=mask_phone(phone), scope=str(scope))
    sessions.flash(request, _("The client gets no such messages any more; those that waited were dropped."))
    return back_to("cabinet-messages-opt-outs", salon)


@require_POST
@cabinet_view
def remove(request: HttpRequest, salon: Company, row_id: int) -> HttpResponse:
    """The client wants messages again."""
    row = OptOut.objects.filter(pk=row_id, company=salon).exclude(phone="").first()
    if row is None:
        raise Http404
    if opt_outs.opt_in(company_ids=[salon.pk], phone=row.phone, said_by=BY):
        salon.note(Event.OPT_OUT_CHANGED, by=BY, phone=mask_phone(row.phone), scope="")
    sessions.flash(request, _("The client gets messages again."))
    return back_to("cabinet-messages-opt-outs", salon)
