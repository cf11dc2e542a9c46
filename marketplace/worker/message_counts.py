"""Keeps the hourly counts of messages that the admin's overview draws: one worker, once a minute."""

from datetime import datetime, timedelta

from django.utils import timezone

from marketplace.models import ScheduledTask
from marketplace.worker import scheduled
from whatsapp.messages import hourly_counts

TASK = "message-counts"
# How far back is counted again, and how often: the older a message, the seldomer its status changes.
SPANS: dict[str, tuple[timedelta, timedelta]] = {
    "hours": (timedelta(hours=3), timedelta(minutes=1)),
    "days": (timedelta(days=3), timedelta(hours=1)),
    "all": (hourly_counts.KEPT, timedelta(days=1)),
}
EVERY = SPANS["hours"][1]
ROUNDS = scheduled.rounds_of(TASK, name=TASK)


def due(*, limit: int) -> list[int]:
    """Return the id of the round when it is due."""
    return scheduled.due(TASK, ROUNDS, limit=limit)


def recount_due(task_id: int) -> None:
    """Count the longest span that is due; it contains the shorter ones."""
    now = timezone.now()
    task = ROUNDS.claim(task_id, started_at=now)
    if task is None:
        return
    counted: dict[str, str] = dict(task.report)
    span = _longest_due(counted, now)
    hourly_counts.recount(last=SPANS[span][0])
    hourly_counts.forget_old()
    names = list(SPANS)
    counted |= dict.fromkeys(names[: names.index(span) + 1], now.isoformat())
    ROUNDS.finish(task, next_at=now + EVERY, finished_at=timezone.now(), report=counted)


def counted_at() -> datetime | None:
    """When the last round was complete."""
    row = ScheduledTask.objects.filter(name=TASK).only("finished_at").first()
    return row.finished_at if row else None


def _longest_due(counted: dict[str, str], now: datetime) -> str:
    for name, (_span, every) in reversed(SPANS.items()):
        last = counted.get(name)
        if last is None or datetime.fromisoformat(last) <= now - every:
            return name
    return next(iter(SPANS))
