"""Webhooks of YClients from bytes to rows: read, verified, stored before they are answered."""

import time
from functools import partial

import structlog
from django.db import DatabaseError, InterfaceError

from config.shared.database import on_live_connection
from config.shared.endpoints import Answer, IngestRequest, json_answer
from marketplace.metrics import WEBHOOK_SECONDS, WEBHOOKS
from marketplace.models import InboundWebhook
from marketplace.webhooks import bodies, processing, store, verification
from marketplace.webhooks.store import StoredWebhook
from marketplace.webhooks.verification import VerifiedWebhook
from whatsapp.messages import status_changes

log = structlog.get_logger("webhooks")

Kind = InboundWebhook.Kind
ANSWERS = {outcome: json_answer(200, {"success": True, "status": outcome.value}) for outcome in store.Outcome}
# Finding a metric by its labels costs as much as counting.
SECONDS = {kind: WEBHOOK_SECONDS.labels(kind) for kind in Kind}
STORED = {(kind, outcome): WEBHOOKS.labels(kind, outcome) for kind in Kind for outcome in store.Outcome}
IntakeResult = StoredWebhook | bodies.BadBody | verification.Refused | DatabaseError


def handle(requests: list[IngestRequest]) -> list[Answer]:
    """Store the webhooks of several requests by one commit; return their answers in the same order.

    The effect of a lifecycle event is left to the answer's `before_sending`, those of entity events to the
    workers.
    """
    started = time.monotonic()
    results = receive(requests)
    took = time.monotonic() - started
    for result in results:
        if isinstance(result, StoredWebhook):
            SECONDS[result.kind].observe(took)
    return [_answer(result) for result in results]


def refuse(status: int, sentence: str, *, kind: str = "unknown", outcome: str = "invalid") -> Answer:
    """Count a webhook that is not stored and return its answer."""
    WEBHOOKS.labels(kind, outcome).inc()
    return json_answer(status, {"success": False, "error": sentence})


def receive(requests: list[IngestRequest]) -> list[IntakeResult]:
    """Store the webhooks of several requests; return what became of each, in the same order."""
    try:
        return on_live_connection(_receive, requests)
    except (DatabaseError, InterfaceError) as error:
        log.exception("webhooks not stored", requests=len(requests))
        return [DatabaseError(str(error))] * len(requests)


def _receive(requests: list[IngestRequest]) -> list[IntakeResult]:
    salons = verification.salons_of_addresses(requests)
    verified = [_verified(request, salons.get(request.secret)) for request in requests]
    stored = iter(store.store_all([one for one in verified if isinstance(one, VerifiedWebhook)]))
    results = [next(stored) if isinstance(one, VerifiedWebhook) else one for one in verified]
    if any(isinstance(one, StoredWebhook) and one.is_due and one.kind == Kind.ENTITY for one in results):
        status_changes.wake_workers_soon()  # a worker applies them
    return results


def _verified(
    request: IngestRequest, address_of: int | None
) -> VerifiedWebhook | bodies.BadBody | verification.Refused:
    try:
        return verification.verify(bodies.read(request.body), address_of=address_of)
    except (bodies.BadBody, verification.Refused) as error:
        return error


def _answer(result: IntakeResult) -> Answer:
    if isinstance(result, bodies.BadBody):
        return refuse(400, str(result))
    if isinstance(result, verification.Refused):
        log.warning("webhook refused", kind=result.kind, cause=str(result))
        return refuse(403, "This sender may not send this here.", kind=result.kind, outcome="refused")
    if isinstance(result, DatabaseError):
        log.warning("webhook not stored", cause=type(result).__name__)
        return refuse(503, "Not stored: try again later.", outcome="unavailable")
    STORED[result.kind, result.outcome].inc()
    answer = ANSWERS[result.outcome]
    if result.is_due and result.kind == Kind.LIFECYCLE:
        return Answer(answer.status, answer.content, before_sending=partial(_apply, result.id))
    return answer


def _apply(webhook_id: int) -> None:
    processing.apply(webhook=InboundWebhook.objects.get(pk=webhook_id))
