"""The shared limit on calls, read from the slots that the database hands out and not from the clock."""

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connection, transaction

from marketplace.models import CallSlot
from marketplace.yclients import rate_limit

pytestmark = pytest.mark.django_db(transaction=True)
LONG = timedelta(minutes=1)


def acquire(count: int) -> list[datetime]:
    """Slots taken by as many threads at once."""
    starts: list[datetime] = []

    def one() -> None:
        try:
            starts.append(rate_limit.take_slot(longest_queue=rate_limit.LONGEST_QUEUE)[0])
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(starts)


def test_slots_taken_at_once_start_at_least_three_tenths_apart() -> None:
    starts = acquire(12)
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert len(starts) == 12
    assert min(gaps) >= timedelta(seconds=0.3)


def test_any_second_holds_at_most_five_starts_and_any_minute_two_hundred() -> None:
    starts = [rate_limit.take_slot()[0] for _ in range(16)]
    spacing = min(b - a for a, b in pairwise(starts))
    assert timedelta(seconds=1) / spacing < 5
    assert timedelta(minutes=1) / spacing < 200


def test_a_queue_that_is_too_long_is_refused_and_takes_no_slot() -> None:
    rate_limit.take_slot()
    before = CallSlot.objects.get().next_start_at
    with pytest.raises(rate_limit.SlotsTaken) as refused:
        rate_limit.take_slot(longest_queue=timedelta(seconds=0))
    assert 0 < refused.value.wait <= 0.31
    assert CallSlot.objects.get().next_start_at == before


def test_a_slot_after_a_long_silence_starts_now() -> None:
    CallSlot.objects.create(name=rate_limit.NAME, next_start_at=datetime(2020, 1, 1, tzinfo=UTC))
    start, wait = rate_limit.take_slot()
    assert wait == 0
    assert abs(datetime.now(UTC) - start) < timedelta(seconds=30)


def test_a_clock_that_was_set_back_does_not_stop_the_calls() -> None:
    CallSlot.objects.create(name=rate_limit.NAME, next_start_at=datetime.now(UTC) + timedelta(hours=3))
    assert rate_limit.take_slot()[1] == 0


def test_nobody_waits_with_a_transaction_open() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        rate_limit.wait_for_slot()
