"""The page's HTTP API: what it does while its live channel is down, and what other clients use."""

import asyncio
from typing import Any

import structlog
from django.utils import timezone
from django.utils.translation import gettext
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.shared.thread_budgets import OUTGOING, PAGES
from marketplace.models import Company, MarketplaceEvent
from marketplace.salons import activation
from onboarding.api import codes
from onboarding.api.base import PageApiView, registrant_of
from onboarding.api.errors import ApiError
from onboarding.linking import page_actions, token_scope
from onboarding.linking.token_scope import TokenRevoked, TokenScope
from onboarding.linking.tokens import Registrant

log = structlog.get_logger("activation")
REGISTRATION_LASTS = 60  # minutes from the arrival to the activation
ACTIVATION_PATIENCE = 9.0  # seconds that a page waits for the result; the work itself goes on
ACTIVATION_ERRORS: dict[type[activation.ActivationError], tuple[int, str]] = {
    activation.NotConnected: (409, "not_connected"),
    activation.AlreadyRunning: (409, "activation_running"),
    activation.NotAwaiting: (409, "not_awaiting"),
    activation.ActivationRefused: (502, "activation_refused"),
    activation.ActivationUnfinished: (502, "activation_unfinished"),
}


class StatusView(PageApiView):
    """The current snapshot of `company_<salon_id>`; 404 for a salon that is not the token's.

    It keeps codes coming, or starts them; not so with `?viewed=0`, before the person has confirmed the salon.
    """

    http_method_names = ("get",)

    async def get(self, request: Request, session_id: str) -> Response:
        registrant: Registrant = request.user  # type: ignore[assignment]
        if session_id not in {f"company_{salon_id}" for salon_id in registrant.salon_ids}:
            raise ApiError(404, "not_found")
        viewed = request.query_params.get("viewed") != "0"
        picture = await PAGES.run(page_actions.read_snapshot, registrant, viewed=viewed)
        return Response({**picture, "session_id": session_id})


class QrView(PageApiView):
    """A QR text to show; `{"renew": true}` asks for one that nobody has seen yet."""

    http_method_names = ("post",)

    async def post(self, request: Request) -> Response:
        registrant: Registrant = request.user  # type: ignore[assignment]
        text, expires_in = await codes.fresh_qr(registrant, renew=self.body_of(request).get("renew") is True)
        return Response(
            {"success": True, "qr": text, "session_id": registrant.session_name, "expires_in": expires_in}
        )


class PhoneSerializer(serializers.Serializer[Any]):
    """A phone number as a person typed it, in any spelling; a bare number is taken for its digits."""

    phoneNumber = serializers.CharField(max_length=page_actions.PHONE_MOST)  # noqa: N815  the page's name


class PairingCodeView(PageApiView):
    """A pairing code for `{"phoneNumber": "+7 999 …"}`, to type in WhatsApp on that phone."""

    http_method_names = ("post",)

    async def post(self, request: Request) -> Response:
        given = PhoneSerializer(data=self.body_of(request))
        if not given.is_valid():
            raise ApiError(400, "invalid_phone")
        registrant: Registrant = request.user  # type: ignore[assignment]
        code, expires_in = await codes.pairing_code(registrant, phone=given.validated_data["phoneNumber"])
        return Response({"success": True, "code": code, "expires_in": expires_in})


class ActivateView(PageApiView):
    """The activation's result for `{"token": …}`; starts the activation when nobody has yet."""

    http_method_names = ("post",)
    authentication_classes = ()  # the token is in the body
    permission_classes = ()

    async def post(self, request: Request) -> Response:
        token = self.body_of(request).get("token")
        if not token:
            raise ApiError(400, "token_required", error="Token required")
        registrant = registrant_of(token)
        scope = await PAGES.run(_ready_scope, registrant)
        result = await _result(scope)
        return Response(
            {
                "success": True,
                "message": gettext("The integration is active."),
                "company_id": registrant.company_id,
                "salon_id": registrant.salon_id,
                "yclients_response": result.yclients_response,
                "redirect_url": result.redirect_url,
            }
        )


def _ready_scope(registrant: Registrant) -> TokenScope:
    try:
        scope = token_scope.load(registrant)
    except TokenRevoked as error:
        raise ApiError(400, "registration_not_found", error="Registration not found") from error
    if not scope.may_act:
        raise TokenRevoked("the salon has removed the application")
    _check_age(registrant.salon_id)
    return scope


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


# Activations that go on though their page waits no longer; the loop itself keeps no task alive.
_running: set["asyncio.Task[Any]"] = set()


async def _result(scope: TokenScope) -> activation.ActivationResult:
    task = asyncio.create_task(OUTGOING.run(_activate_all, scope), name="activate")
    _running.add(task)
    task.add_done_callback(_running.discard)
    done, _waiting = await asyncio.wait({task}, timeout=ACTIVATION_PATIENCE)
    if not done:
        task.add_done_callback(_log_failure)
        raise ApiError(409, "activation_running")
    try:
        return task.result()
    except activation.ActivationError as error:
        status, code = ACTIVATION_ERRORS[type(error)]
        raise ApiError(status, code, error=gettext(error.message) if error.message else "") from error


def _log_failure(task: "asyncio.Task[Any]") -> None:
    """Log what went wrong when no page waits any more; what YClients said is in the salon's row."""
    error = None if task.cancelled() else task.exception()
    if error and not isinstance(error, activation.ActivationError):
        log.error("activation failed", exc_info=error)


def _activate_all(scope: TokenScope) -> activation.ActivationResult:
    """Activate the salon that the token names first; a worker does the others, failed ones once more."""
    for company in scope.companies:
        if company.pk != scope.company.pk and company.status == Company.Status.ACTIVATION_FAILED:
            activation.request_retry(company=company, cause="page")
    return activation.activate(company=scope.company, cause="page")
