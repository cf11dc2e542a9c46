"""The shared limit on calls to YClients: a database row hands out start times, 0.31 s apart.

YClients allows 5 requests a second and 200 a minute for an IP address (YCLIENTS API reference); starts
0.31 s apart meet both over all our processes.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, models, transaction

from marketplace.models import CallSlot

SPACING = timedelta(seconds=0.31)
LONGEST_QUEUE = timedelta(seconds=5)
NAME = "yclients"


class SlotsTaken(Exception):
    """The next free start is further away than a caller should wait; `wait` is in seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"the next free call slot is {wait:.1f} s away")
        self.wait = wait


class _Clock(models.Func):
    """The database's time at this very moment, not that of the statement's or transaction's start."""

    output_field = models.DateTimeField()
    template = "clock_timestamp()"
    arity = 0

    def as_sqlite(
        self, compiler: Any, connection: Any, **extra_context: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        return "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')", ()


def take_slot(*, longest_queue: timedelta = LONGEST_QUEUE) -> tuple[datetime, float]:
    """Return the next free start (database time) and the seconds to wait for it; the slot is then taken.

    Raises SlotsTaken when it is more than `longest_queue` away, and RuntimeError within a transaction: the
    row must be free again before anybody waits.
    """
    with transaction.atomic(durable=True):
        slot = _locked_slot()
        # Asked after the lock was granted: the wait for it may have been long.
        now = CallSlot.objects.filter(pk=slot.pk).values_list(_Clock(), flat=True).get()
        start = max(slot.next_start_at, now)
        if start - now > LONGEST_QUEUE + 2 * SPACING:
            start = now  # never handed out that far ahead: the clock was set back
        if start - now > longest_queue:
            raise SlotsTaken((start - now).total_seconds())
        CallSlot.objects.filter(pk=slot.pk).update(next_start_at=start + SPACING)
    return start, max(0.0, (start - now).total_seconds())


def _locked_slot() -> CallSlot:
    locked = CallSlot.objects.select_for_update()
    try:
        return locked.get(pk=NAME)
    except CallSlot.DoesNotExist:
        CallSlot.objects.bulk_create(
            [CallSlot(name=NAME, next_start_at=datetime(2000, 1, 1, tzinfo=UTC))], ignore_conflicts=True
        )
        return locked.get(pk=NAME)


def wait_for_slot(*, longest_queue: timedelta = LONGEST_QUEUE) -> None:
    """Block until this call may start. Raises SlotsTaken.

    The thread gives its database connection back first: callers wait for the network next, and a process
    has few connections.
    """
    _start, wait = take_slot(longest_queue=longest_queue)
    if not connection.in_atomic_block:
        connection.close()
    if wait:
        time.sleep(wait)
