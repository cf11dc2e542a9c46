"""Applying kept webhooks: lifecycle at once when they arrive, bookings by the worker, so that the door stays
fast; again by the worker when that failed, or by a command."""

import random
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from config.shared.masking import mask_traceback
from marketplace.bookings import applying
from marketplace.metrics import EFFECTS
from marketplace.models import InboundWebhook
from marketplace.salons import details, lifecycle

log = structlog.get_logger("webhooks")

State = InboundWebhook.State
OPEN = (State.RECEIVED, State.FAILED)
CLAIM = timedelta(seconds=60)
MAX_ATTEMPTS = 12
LONGEST_PAUSE = 3600.0  # seconds
MAX_TRACEBACK = 8000

Effect = Callable[..., bool]
EFFECTS_OF: dict[str, Effect] = {
    "uninstall": lifecycle.request_uninstall,
    "freeze": lifecycle.freeze,
    "payment": lifecycle.unfreeze,
}


def apply(*, webhook: InboundWebhook) -> str:
    """Apply a kept webhook that nobody else is applying; return its state afterwards.

    A failure is kept in the row with its traceback and tried again later, and is not raised.
    """
    if not _claim(webhook):
        webhook.refresh_from_db()
        return webhook.state
    try:
        applied = _apply(webhook)
    except Exception as error:  # noqa: BLE001  whatever it is, it is kept, shown to support staff, tried again
        _keep_failure(webhook, error)
    else:
        _finish(webhook, State.APPLIED if applied else State.IGNORED)
    EFFECTS.labels(webhook.state).inc()
    return webhook.state


def has_effect(*, kind: str, name: str) -> bool:
    """Whether a webhook of this kind and name does anything; the others are kept, and marked so."""
    if kind == InboundWebhook.Kind.ENTITY:
        return name.partition(".")[0] == applying.RESOURCE or name in details.NAMES
    return name in EFFECTS_OF


def due(*, limit: int, kind: str = InboundWebhook.Kind.LIFECYCLE) -> list[int]:
    """Return ids of kept webhooks of one kind whose effect is due."""
    waiting = InboundWebhook.objects.filter(state__in=OPEN, next_attempt_at__lte=timezone.now(), kind=kind)
    return list(waiting.order_by("next_attempt_at")[:limit].values_list("pk", flat=True))


def _claim(webhook: InboundWebhook) -> bool:
    """Take the row when it is due, or was never taken; of those that saw it so, only one moves it on."""
    now = timezone.now()
    claimed = InboundWebhook.objects.filter(
        Q(attempts=0) | Q(next_attempt_at__lte=now),
        pk=webhook.pk,
        state__in=OPEN,
        next_attempt_at=webhook.next_attempt_at,
    ).update(next_attempt_at=now + CLAIM, attempts=F("attempts") + 1)
    if claimed:
        webhook.refresh_from_db()
    return bool(claimed)


def _apply(webhook: InboundWebhook) -> bool:
    if webhook.salon_id is None or not has_effect(kind=webhook.kind, name=webhook.name):
        return False
    if webhook.name in details.NAMES:
        return details.refresh(webhook.salon_id)
    if webhook.kind == InboundWebhook.Kind.ENTITY:
        with transaction.atomic():
            return applying.apply(webhook)
    effect = EFFECTS_OF[webhook.name]
    with transaction.atomic():
        company = lifecycle.locked(webhook.salon_id)
        return effect(company, by="yclients webhook") if company else False


def _finish(webhook: InboundWebhook, state: str) -> None:
    InboundWebhook.objects.filter(pk=webhook.pk).update(
        state=state, applied_at=timezone.now(), next_attempt_at=None, last_error=""
    )
    webhook.refresh_from_db()
    log.info("webhook applied", webhook=webhook.pk, salon_id=webhook.salon_id, name=webhook.name, state=state)


def _keep_failure(webhook: InboundWebhook, error: Exception) -> None:
    dead = webhook.attempts >= MAX_ATTEMPTS
    longest = min(LONGEST_PAUSE, 2.0 ** min(webhook.attempts, 12))
    pause = timedelta(seconds=1 + random.uniform(0, longest))  # noqa: S311 spreads load, guards nothing
    InboundWebhook.objects.filter(pk=webhook.pk).update(
        state=State.DEAD if dead else State.FAILED,
        next_attempt_at=None if dead else timezone.now() + pause,
        last_error=mask_traceback(error, most=MAX_TRACEBACK),
    )
    webhook.refresh_from_db()
    log.warning(
        "webhook effect failed",
        webhook=webhook.pk,
        salon_id=webhook.salon_id,
        name=webhook.name,
        attempts=webhook.attempts,
        state=webhook.state,
        cause=repr(error),
    )
