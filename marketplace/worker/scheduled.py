"""Work that one worker does by the clock: each kind has a row, made with the first look; it is the queue."""

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from config.shared.queue import Queue
from marketplace.models import ScheduledTask


def rounds_of(task: str, *, name: str) -> Queue[Any]:
    """The queue of one kind of work; `task` is the row's name, `name` what metrics call it."""
    return Queue(
        name=name,
        model=ScheduledTask,
        where=Q(name=task),
        due_at="next_at",
        attempts="",
        error="",
        lease=timedelta(minutes=15),
    )


def due(task: str, rounds: Queue[Any], *, limit: int) -> list[int]:
    """Return the id of the row when its work is due."""
    ScheduledTask.objects.get_or_create(name=task, defaults={"next_at": timezone.now()})
    return rounds.due(limit=limit)
