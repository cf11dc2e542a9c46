"""The webhook doors: read, keep, apply, answer."""

from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from marketplace import bodies, effects, webhooks
from marketplace.metrics import WEBHOOK_SECONDS, WEBHOOKS
from marketplace.models import InboundWebhook

log = structlog.get_logger("webhooks")


class TooLarge(Exception):
    """The body is longer than bodies.MAX_BYTES."""


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def webhook(request: HttpRequest, secret: str = "") -> HttpResponse:
    """Take a lifecycle or entity event of YClients; `secret` is that of a salon's own address.

    200 only for what is in the database. Some senders probe the address with GET.
    """
    if request.method != "POST":
        return JsonResponse({"success": True})
    try:
        body = bodies.read(_read_limited(request))
    except TooLarge:
        return _refuse("unknown", "invalid", 413, "The body is larger than 1 MiB.")
    except bodies.BadBody as error:
        return _refuse("unknown", "invalid", 400, str(error))
    kind = webhooks.kind_of(body)
    with WEBHOOK_SECONDS.labels(kind).time():
        return _take(body, kind, secret)


def _take(body: dict[str, Any], kind: str, secret: str) -> HttpResponse:
    try:
        received = webhooks.receive(body=body, secret=secret)
        WEBHOOKS.labels(kind, received.outcome).inc()
        if received.webhook is not None and received.webhook.state == InboundWebhook.State.RECEIVED:
            effects.apply(webhook=received.webhook)
    except bodies.BadBody as error:
        return _refuse(kind, "invalid", 400, str(error))
    except webhooks.Refused as error:
        log.warning("webhook refused", kind=kind, cause=str(error))
        return _refuse(kind, "refused", 403, "This sender may not say this here.")
    except (DatabaseError, InterfaceError):
        log.exception("webhook not kept", kind=kind)
        return _refuse(kind, "unavailable", 503, "Not kept: try again later.")
    return JsonResponse({"success": True, "status": received.outcome})


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
