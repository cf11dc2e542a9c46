"""Sending a text to a phone as a test."""

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from limits import RateLimitItemPerHour

from config.shared import rate_limits
from config.shared.masking import mask_phone
from marketplace.bookings import messages
from marketplace.inbound import opt_outs
from marketplace.models import Company, MarketplaceEvent
from marketplace.models.booking_kinds import Kind
from marketplace.salons.phone_numbers import NotAPhone, digits_for_salon
from onboarding.cabinet import sessions
from onboarding.cabinet.views import BY, back_to, cabinet_view, form_nonce

TESTS = RateLimitItemPerHour(10)  # of one salon: each goes to a phone that somebody typed
LONGEST_PHONE = 40  # characters


@require_POST
@cabinet_view
def send(request: HttpRequest, salon: Company, kind: str) -> HttpResponse:
    """Send the kept text about a made-up visit to `phone`, and lead to the message's story."""
    if kind not in Kind.values:
        raise Http404
    back = back_to("cabinet-texts-edit", salon, kind=kind)
    if not rate_limits.hit(TESTS, "cabinet-test", str(salon.salon_id)).allowed:
        sessions.flash(request, _("Too many tests within an hour. Try again later."), tone="bad")
        return back
    try:
        phone = digits_for_salon(request.POST.get("phone", "")[:LONGEST_PHONE], salon)
    except NotAPhone:
        sessions.flash(request, _("This does not look like a phone number."), tone="bad")
        return back
    if opt_outs.opted_out(company_ids=[salon.pk], phone=phone, everything=True):
        sessions.flash(request, _("This client wants no messages, so no test goes there."), tone="bad")
        return back
    try:
        message = messages.send_test(
            company=salon,
            kind=Kind(kind),
            phone=phone,
            name=f"test-{form_nonce(request).hex}",
            now=timezone.now(),
        )
    except messages.NotServed:
        sessions.flash(request, _("WhatsApp is not linked, so nothing can be sent."), tone="bad")
        return back
    salon.note(MarketplaceEvent.Type.TEST_SENT, by=BY, kind=kind, phone=mask_phone(message.phone))
    sessions.flash(request, _("The test is on its way; what happens to it is shown here."))
    return back_to("cabinet-messages-story", salon, message_id=message.pk)
