"""The webhook doors: read, keep, apply, answer."""

import time
from dataclasses import dataclass

import structlog
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from marketplace.metrics import WEBHOOK_SECONDS, WEBHOOKS
from marketplace.models import InboundWebhook
from marketplace.webhooks import bodies, intake, processing

log = structlog.get_logger("webhooks")


class TooLarge(Exception):
    """The body is longer than bodies.MAX_BYTES."""


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A body at the door, and the secret in the address that it came to, if any."""

    raw: bytes
    secret: str = ""


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """What is to be answered, once the effect of `due` has been tried."""

    response: JsonResponse
    due: InboundWebhook | None = None


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def webhook(request: HttpRequest, secret: str = "") -> HttpResponse:
    """Take a lifecycle or entity event of YClients; `secret` is that of a salon's own address.

    200 only for what is in the database. Some senders probe the address with GET.
    """
    if request.method != "POST":
        return JsonResponse({"success": True})
    try:
        raw = _read_limited(request)
    except TooLarge:
        return _too_large()
    [taken] = intake_all([WebhookRequest(raw, secret)])
    return finish(taken)


def intake_all(requests: list[WebhookRequest]) -> list[IntakeResult]:
    """Check and keep bodies by one commit; the answers in their order. Effects are left to `finish`."""
    started = time.monotonic()
    taken: list[IntakeResult | None] = [None] * len(requests)
    arrivals: dict[int, intake.VerifiedWebhook] = {}
    for place, request in enumerate(requests):
        try:
            if len(request.raw) > bodies.MAX_BYTES:
                taken[place] = IntakeResult(_too_large())
            else:
                arrivals[place] = intake.VerifiedWebhook(bodies.read(request.raw), request.secret)
        except bodies.BadBody as error:
            taken[place] = IntakeResult(_refuse("unknown", "invalid", 400, str(error)))
    for place, answer in zip(arrivals, _received(list(arrivals.values())), strict=True):
        kind = intake.kind_of(arrivals[place].body)
        taken[place] = _taken(answer, kind)
        WEBHOOK_SECONDS.labels(kind).observe(time.monotonic() - started)
    return [one for one in taken if one is not None]


def finish(taken: IntakeResult) -> HttpResponse:
    """Try the effect that is due, if there is one; what goes wrong with it is tried again by the worker."""
    if taken.due is not None:
        processing.apply(webhook=taken.due)
    return taken.response


def _received(arrivals: list[intake.VerifiedWebhook]) -> list[intake.Answer]:
    try:
        return intake.receive_all(arrivals)
    except (DatabaseError, InterfaceError) as error:
        log.exception("webhooks not kept", bodies=len(arrivals))
        return [DatabaseError(str(error))] * len(arrivals)


def _taken(answer: intake.Answer, kind: str) -> IntakeResult:
    if isinstance(answer, bodies.BadBody):
        return IntakeResult(_refuse(kind, "invalid", 400, str(answer)))
    if isinstance(answer, intake.Refused):
        log.warning("webhook refused", kind=kind, cause=str(answer))
        return IntakeResult(_refuse(kind, "refused", 403, "This sender may not say this here."))
    if isinstance(answer, DatabaseError):
        log.warning("webhook not kept", kind=kind, cause=type(answer).__name__)
        return IntakeResult(_refuse(kind, "unavailable", 503, "Not kept: try again later."))
    WEBHOOKS.labels(kind, answer.outcome).inc()
    kept = answer.webhook
    is_due = kept.kind == InboundWebhook.Kind.LIFECYCLE and kept.state == InboundWebhook.State.RECEIVED
    response = JsonResponse({"success": True, "status": answer.outcome})
    return IntakeResult(response, due=kept if is_due else None)


def _too_large() -> JsonResponse:
    return _refuse("unknown", "invalid", 413, "The body is larger than 1 MiB.")


def _read_limited(request: HttpRequest) -> bytes:
    """Return the body, never more of it in memory than is allowed. Raises TooLarge."""
    said = request.META.get("CONTENT_LENGTH")
    length = int(said) if said and said.isdecimal() else bodies.MAX_BYTES + 1  # chunked: no length is said
    if said and length > bodies.MAX_BYTES:
        raise TooLarge
    raw: bytes = request.read(length)
    if len(raw) > bodies.MAX_BYTES:
        raise TooLarge
    return raw


def _refuse(kind: str, outcome: str, status: int, sentence: str) -> JsonResponse:
    WEBHOOKS.labels(kind, outcome).inc()
    return JsonResponse({"success": False, "error": sentence}, status=status)
