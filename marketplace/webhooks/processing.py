"""What stored webhooks do: lifecycle events at once when they arrive, bookings by the worker, so that the
answer stays fast; again by the worker when that failed, or by a command."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from config.shared.masking import mask_traceback
from config.shared.queue import ClaimLost, Queue
from marketplace.bookings import processing as bookings
from marketplace.metrics import EFFECTS
from marketplace.models import InboundWebhook
from marketplace.salons import details, lifecycle

log = structlog.get_logger("webhooks")

State = InboundWebhook.State
WEBHOOKS = Queue(
    name="webhooks",
    model=InboundWebhook,
    state="state",
    fresh=State.RECEIVED,
    failed=State.FAILED,
    dead=State.DEAD,
    lease=timedelta(seconds=60),
    max_attempts=12,
    first=2.0,
)
# The worker's two: a storm of bookings must not hold up an uninstall.
LIFECYCLE = replace(WEBHOOKS, name="lifecycle", where=Q(kind=InboundWebhook.Kind.LIFECYCLE))
BOOKINGS = replace(WEBHOOKS, name="bookings", where=Q(kind=InboundWebhook.Kind.ENTITY))
MAX_TRACEBACK = 8000

Effect = Callable[[InboundWebhook], bool]
CHANGES: dict[str, Callable[..., bool]] = {
    "uninstall": lifecycle.request_uninstall,
    "freeze": lifecycle.freeze,
    "payment": lifecycle.record_payment,
}


def apply(*, webhook: InboundWebhook) -> str:
    """Apply a stored webhook that nobody else is applying; return its state afterwards.

    A failure is kept in the row with its traceback and tried again later, and is not raised.
    """
    claimed = WEBHOOKS.claim(webhook.pk, early=True)
    if claimed is not None:
        _apply_claimed(claimed)
    webhook.refresh_from_db()
    return webhook.state


def apply_due(webhook_id: int) -> None:
    """Apply the stored webhook with this number if it is due and nobody has it; failures as in `apply`."""
    if (claimed := WEBHOOKS.claim(webhook_id)) is not None:
        _apply_claimed(claimed)


def replay(*, webhook: InboundWebhook) -> None:
    """Let a worker apply the webhook again, whatever became of it, as if it had just arrived."""
    WEBHOOKS.replay(InboundWebhook.objects.filter(pk=webhook.pk))
    webhook.refresh_from_db()


def has_effect(*, kind: str, name: str) -> bool:
    """Whether a webhook of this kind and name does anything; the others are stored, and marked so."""
    return _effect_of(kind, name) is not None


def _effect_of(kind: str, name: str) -> Effect | None:
    if kind == InboundWebhook.Kind.LIFECYCLE:
        return _change_status if name in CHANGES else None
    if name.partition(".")[0] == bookings.RESOURCE:
        return bookings.apply
    return _refresh_details if name in details.NAMES else None


def _apply_claimed(webhook: InboundWebhook) -> None:
    try:
        effect = _effect_of(webhook.kind, webhook.name)
        applied = effect is not None and webhook.salon_id is not None and effect(webhook)
        state = State.APPLIED if applied else State.IGNORED
        WEBHOOKS.finish(webhook, state=state, applied_at=timezone.now(), next_attempt_at=None)
    except ClaimLost as error:
        log.warning("webhook took longer than its claim", webhook=webhook.pk, cause=str(error))
    except Exception as error:  # noqa: BLE001  whatever it is, support staff sees it, and it is tried again
        _record_failure(webhook, error)
    else:
        EFFECTS.labels(state).inc()
        log.info(
            "webhook applied", webhook=webhook.pk, salon_id=webhook.salon_id, name=webhook.name, state=state
        )


def _refresh_details(webhook: InboundWebhook) -> bool:
    return details.refresh(webhook.salon_id) if webhook.salon_id else False


@transaction.atomic
def _change_status(webhook: InboundWebhook) -> bool:
    company = lifecycle.locked(webhook.salon_id) if webhook.salon_id else None
    return CHANGES[webhook.name](company, by="yclients webhook") if company else False


def _record_failure(webhook: InboundWebhook, error: Exception) -> None:
    given_up = WEBHOOKS.retry(webhook, error=mask_traceback(error, most=MAX_TRACEBACK))
    EFFECTS.labels(State.DEAD if given_up else State.FAILED).inc()
    log.warning(
        "webhook effect failed",
        webhook=webhook.pk,
        salon_id=webhook.salon_id,
        name=webhook.name,
        attempts=webhook.attempts,
        given_up=given_up,
        cause=repr(error),
    )
