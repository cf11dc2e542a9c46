"""Pages for visitors whose link gives nothing over the salon, and for owners who have to pay first."""

from datetime import date
from typing import Any

from django.core import signing
from django.http import HttpResponse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from marketplace.models import AccessRequest
from marketplace.salons import access
from marketplace.salons.ownership import Verdict
from marketplace.salons.registration import Refusal, SalonFrozen
from onboarding.rendering import addresses, pages

# What the forms of these pages carry instead of a cookie, which browsers withhold from a framed page.
REQUEST_SALT = "onboarding.access-request"
FORM_LASTS = 3600  # seconds


def no_power(refusals: list[Refusal]) -> HttpResponse:
    """403: to whom the salon belongs, and the ways on."""
    first = refusals[0]
    if first.verdict == Verdict.NOT_SIGNED or first.request is None:
        return pages.error("bad_signature")
    return _request_page(first.request, verdict=first.verdict)


def _request_page(
    request: AccessRequest, *, verdict: Verdict, problem: str = "", status: int = 403
) -> HttpResponse:
    disputed = verdict == Verdict.DISPUTED
    context: dict[str, Any] = {
        "word": str(verdict),
        "title": _("Two users have come for this salon")
        if disputed
        else _("This salon was connected by another user"),
        "disputed": disputed,
        "salon_id": request.company.salon_id,
        "number": request.pk,
        "subject": _("Request %(number)d") % {"number": request.pk},
        "problem": problem,
        "form": signing.dumps(request.pk, salt=REQUEST_SALT) if _may_send(request, disputed) else "",
        "link_minutes": int(access.LINK_LASTS.total_seconds() // 60),
        "status": status,
    }
    return pages.render("onboarding/no_power.html", context, status=status)


def _may_send(request: AccessRequest, disputed: bool) -> bool:
    return not disputed and access.may_send_link(request.company)


def read_form(text: str) -> AccessRequest | None:
    """The request that a form of `no_power` was made for; None when it is forged or over."""
    try:
        number = signing.loads(text, salt=REQUEST_SALT, max_age=FORM_LASTS)
    except signing.BadSignature:
        return None
    return AccessRequest.objects.select_related("company__session").filter(pk=number).first()


def link_not_sent(request: AccessRequest, code: str) -> HttpResponse:
    """The page again, with the reason why no link went out."""
    problem, status = {
        "too_many": (
            _("A link was sent a short while ago. Look for it in WhatsApp, or try again later."),
            429,
        ),
        "not_connected": (_("The salon's WhatsApp is not connected now, so no link can be sent to it."), 409),
    }.get(code, (_("This request has been decided. Open the application in YClients again."), 409))
    response = _request_page(request, verdict=Verdict.OTHER_OWNER, problem=problem, status=status)
    if status == 429:
        response["Retry-After"] = str(int(access.BETWEEN_LINKS.total_seconds()))
    return response


def frozen(error: SalonFrozen) -> HttpResponse:
    """200: what the owner of a suspended salon pays, and where."""
    salon = error.company
    context = {
        "title": _("The application is suspended until it is paid for"),
        "salon": salon.title or f"№ {salon.salon_id}",
        "paid_until": _day(error.installation.paid_until),
        "last_payment": error.installation.last_payment,
        "payment_address": addresses.payment_address(salon.salon_id),
    }
    return pages.render("onboarding/frozen.html", context)


def _day(text: str) -> str:
    try:
        return date_format(date.fromisoformat(text), "DATE_FORMAT")
    except ValueError:
        return ""
