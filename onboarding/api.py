"""The page's HTTP API: what it does while its live channel is down, and what other clients use."""

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext

from marketplace.models import Company, MarketplaceEvent
from marketplace.salons import activation
from onboarding import codes, page_actions, token_scope
from onboarding.endpoints import ApiError, bearer, endpoint, json_body, verified
from onboarding.token_scope import TokenRevoked, TokenScope

REGISTRATION_LASTS = 60  # minutes from the arrival to the activation
ACTIVATION_ERRORS: dict[type[activation.ActivationError], tuple[int, str]] = {
    activation.NotConnected: (409, "not_connected"),
    activation.AlreadyRunning: (409, "activation_running"),
    activation.NotAwaiting: (409, "not_awaiting"),
    activation.ActivationRefused: (502, "activation_refused"),
    activation.ActivationUnfinished: (502, "activation_unfinished"),
}


@endpoint("GET")
def status(request: HttpRequest, session_id: str) -> JsonResponse:
    """The current snapshot of `company_<salon_id>`; 404 for a salon that is not the token's."""
    registrant = bearer(request)
    if session_id not in {f"company_{salon_id}" for salon_id in registrant.salon_ids}:
        raise ApiError(404, "not_found")
    return JsonResponse({**page_actions.look(registrant), "session_id": session_id})


@endpoint("POST")
async def qr(request: HttpRequest) -> JsonResponse:
    """A QR text to show; `{"renew": true}` asks for one that nobody has seen yet."""
    registrant = bearer(request)
    text, expires_in = await codes.fresh_qr(registrant, renew=json_body(request).get("renew") is True)
    return JsonResponse(
        {"success": True, "qr": text, "session_id": registrant.session_name, "expires_in": expires_in}
    )


@endpoint("POST")
async def pairing_code(request: HttpRequest) -> JsonResponse:
    """A pairing code for `{"phoneNumber": "+7 999 …"}`, to type in WhatsApp on that phone."""
    registrant = bearer(request)
    phone = json_body(request).get("phoneNumber")
    if isinstance(phone, int) and not isinstance(phone, bool):
        phone = str(phone)
    if not isinstance(phone, str) or len(phone) > 40:
        raise ApiError(400, "invalid_phone")
    code, expires_in = await codes.pairing_code(registrant, phone=phone)
    return JsonResponse({"success": True, "code": code, "expires_in": expires_in})


@endpoint("POST")
def activate(request: HttpRequest) -> JsonResponse:
    """The activation's result for `{"token": …}`; starts the activation when nobody has yet."""
    token = json_body(request).get("token")
    if not token:
        raise ApiError(400, "token_required", error="Token required")
    registrant = verified(token if isinstance(token, str) else "")
    try:
        scope = token_scope.load(registrant)
    except TokenRevoked as error:
        raise ApiError(400, "registration_not_found", error="Registration not found") from error
    if not scope.may_act:
        raise TokenRevoked("the salon has removed the application")
    _check_age(registrant.salon_id)
    result = _activate_all(scope)
    return JsonResponse(
        {
            "success": True,
            "message": gettext("The integration is active."),
            "company_id": registrant.company_id,
            "salon_id": registrant.salon_id,
            "yclients_response": result.yclients_response,
            "redirect_url": result.redirect_url,
        }
    )


def _check_age(salon_id: int) -> None:
    latest = (
        MarketplaceEvent.objects.filter(
            salon_id=salon_id, event_type=MarketplaceEvent.Type.REGISTRATION_STARTED
        )
        .order_by("-id")
        .first()
    )
    if latest is None:
        raise ApiError(400, "registration_not_found", error="Registration not found")
    over = (timezone.now() - latest.created_at).total_seconds() / 60 - REGISTRATION_LASTS
    if over > 0:
        raise ApiError(
            400,
            "registration_expired",
            error=gettext("The registration has expired. Open the application in YClients again."),
            expired_minutes_ago=int(over),
        )


def _activate_all(scope: TokenScope) -> activation.ActivationResult:
    """Activate every salon of the token, the named one first; its result is the answer."""
    others = [company for company in scope.companies if company.pk != scope.company.pk]
    others = [company for company in others if company.status != Company.Status.UNINSTALLED]
    results, refusals = [], []
    for company in [scope.company, *others]:
        try:
            results.append(activation.activate(company=company, cause="page"))
        except activation.ActivationError as error:
            refusals.append(error)
    if refusals:
        status_code, code = ACTIVATION_ERRORS[type(refusals[0])]
        raise ApiError(status_code, code, error=gettext(refusals[0].message) if refusals[0].message else "")
    return results[0]
