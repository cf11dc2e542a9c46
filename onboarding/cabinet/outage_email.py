"""The part of “Settings” about e-mails when WhatsApp is disconnected."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from limits import RateLimitItemPerHour

from config.shared import rate_limits
from marketplace.alerts import emails, outages
from marketplace.models import Company, OutageAlert
from onboarding.cabinet import sessions
from onboarding.cabinet.views import BY, back_to, cabinet_view

# Each address that is given gets an e-mail, whoever it belongs to.
CONFIRMATIONS = RateLimitItemPerHour(5)
LONGEST_EMAIL = 254


def context(salon: Company) -> dict[str, Any]:
    """What `cabinet/_outage_email.html` shows."""
    return {
        "email_is_set_up": emails.is_set_up(),
        "alert": OutageAlert.objects.filter(company=salon).first(),
    }


@require_POST
@cabinet_view
def change(request: HttpRequest, salon: Company) -> HttpResponse:
    """`action` is `give` with `email`, `again` or `remove`."""
    action = request.POST.get("action", "")
    if action == "remove":
        outages.remove(salon, by=BY)
        sessions.flash(request, _("The address was removed."))
    elif not rate_limits.hit(CONFIRMATIONS, "outage-email", str(salon.salon_id)).allowed:
        sessions.flash(request, _("Too many e-mails within an hour. Try again later."), tone="bad")
    elif action == "again":
        outages.ask_again(salon)
        sessions.flash(request, _("The e-mail is sent once more."))
    else:
        _give(request, salon)
    return back_to("cabinet-settings", salon)


def _give(request: HttpRequest, salon: Company) -> None:
    email = request.POST.get("email", "").strip()
    try:
        validate_email(email)
    except ValidationError:
        sessions.flash(request, _("This does not look like an e-mail address."), tone="bad")
        return
    if len(email) > LONGEST_EMAIL or not emails.is_set_up():
        sessions.flash(request, _("This address cannot be used."), tone="bad")
        return
    outages.set_address(salon, email, language=get_language() or "en", by=BY)
    sessions.flash(request, _("We have sent an e-mail to this address: open the link in it to agree."))
