"""Forgets what is older than its time, all kinds together: by `manage.py prune`, and once a day by a worker.

Marketplace events are kept: they hold no client's data, and whether a webhook is a repeat, or a registration
is still good, is read from them.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from marketplace.metrics import PRUNED
from marketplace.models import InboundWebhook, RecordState
from marketplace.models.forwarding import ForwardedMessage
from marketplace.privacy.owners import OWNERS
from marketplace.worker import scheduled
from whatsapp.messages import retention
from whatsapp.messages.retention import Kind, Rows, deleting

log = structlog.get_logger("retention")

TASK = "prune"
EVERY = timedelta(days=1)
SLICE = 20.0  # seconds of one go; a worker that is told to stop does not wait for the rest of a long round
BETWEEN_SLICES = timedelta(seconds=5)
ROUNDS = scheduled.rounds_of(TASK, name="retention")


@dataclass(frozen=True, slots=True)
class Result:
    """How many rows of one kind were forgotten, or would be; `complete` is False when time ran out."""

    kind: str
    days: int
    rows: int
    complete: bool = True


def _old_webhooks(before: datetime) -> Rows:
    open_states = (InboundWebhook.State.RECEIVED, InboundWebhook.State.FAILED)
    return InboundWebhook.objects.filter(received_at__lt=before).exclude(state__in=open_states)


def _old_forwarded(before: datetime) -> Rows:
    return ForwardedMessage.objects.filter(created_at__lt=before).exclude(state=ForwardedMessage.State.DUE)


def _old_bookings(before: datetime) -> Rows:
    """Visits that are over, whether they took place or not, and of which YClients has said no more."""
    return RecordState.objects.filter(
        Q(starts_at__lt=before) | Q(starts_at=None), updated_at__lt=before, reminder_at=None
    )


# In this order: what is forwarded refers to a message's text.
KINDS: tuple[Kind, ...] = (
    Kind("webhooks", "RETENTION_WEBHOOKS_DAYS", "kept webhooks that are done", _old_webhooks,
         deleting(_old_webhooks)),
    Kind("forwarded", "RETENTION_MESSAGES_DAYS", "forwardings that have ended", _old_forwarded,
         deleting(_old_forwarded)),
    Kind("bookings", "RETENTION_BOOKINGS_DAYS", "visits that are over", _old_bookings,
         deleting(_old_bookings)),
    OWNERS,
    retention.FILES,
    retention.CONVERSATIONS,
    retention.TEXTS,
    retention.NUMBERS,
    retention.EVENTS,
)  # fmt: skip


def days_of(kind: Kind) -> int:
    """The age in days that the settings give the kind; 0: kept for ever."""
    return int(getattr(settings, kind.setting))


def count(*, ages: Mapping[str, int] | None = None, kinds: Sequence[Kind] | None = None) -> list[Result]:
    """Say what `prune` would forget now, changing nothing."""
    found = []
    for kind, days in _with_ages(ages, kinds):
        rows = kind.old(_before(days)).count() if days else 0
        found.append(Result(kind.name, days, rows))
    return found


def prune(
    *,
    ages: Mapping[str, int] | None = None,
    kinds: Sequence[Kind] | None = None,
    seconds: float | None = None,
) -> list[Result]:
    """Forget what is too old, in batches, for at most about `seconds`.

    `ages` maps names of kinds to days, before the settings. Safe to repeat, to interrupt, and beside others.
    Raises what one kind failed with, after the others.
    """
    ends = time.monotonic() + seconds if seconds is not None else None
    results, failure = [], None
    for kind, days in _with_ages(ages, kinds):
        try:
            results.append(_forget(kind, days, ends))
        except Exception as error:
            log.exception("not pruned", kind=kind.name)
            failure = error
    if failure is not None:
        raise failure
    return results


def _with_ages(ages: Mapping[str, int] | None, kinds: Sequence[Kind] | None) -> list[tuple[Kind, int]]:
    given = ages or {}
    return [(kind, given.get(kind.name, days_of(kind))) for kind in (KINDS if kinds is None else kinds)]


def _before(days: int) -> datetime:
    return timezone.now() - timedelta(days=days)


def _forget(kind: Kind, days: int, ends: float | None) -> Result:
    if not days:
        return Result(kind.name, days, 0)
    before, rows, after = _before(days), 0, 0
    while ends is None or time.monotonic() < ends:
        batch = kind.forget(before, after)
        rows += batch.changed
        PRUNED.labels(kind.name).inc(batch.changed)
        if batch.after is None:
            return Result(kind.name, days, rows)
        after = batch.after
    return Result(kind.name, days, rows, complete=False)


# --- the worker's job -------------------------------------------------------------------------------


def due(*, limit: int) -> list[int]:
    """Return the id of the daily round when it is due."""
    return scheduled.due(TASK, ROUNDS, limit=limit)


def prune_due(task_id: int) -> None:
    """Do the round, or a slice of it; what is left is due again in a moment."""
    task = ROUNDS.claim(task_id, started_at=timezone.now())
    if task is None:
        return
    results = prune(seconds=SLICE)
    complete = all(result.complete for result in results)
    report = {result.kind: result.rows for result in results}
    log.info("pruned", complete=complete, **report)
    now = timezone.now()
    done = {"next_at": now + EVERY, "finished_at": now, "report": report}
    ROUNDS.finish(task, **(done if complete else {"next_at": now + BETWEEN_SLICES}))
