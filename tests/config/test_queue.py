"""Rows as queues: one worker has a row, a slow one writes nothing, what fails is tried again or given up."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from config.shared import hints
from config.shared.queue import NEVER_FINISHED, ClaimLost, Queue
from marketplace.models import Company, CompanyCheck, InboundWebhook

pytestmark = pytest.mark.django_db(transaction=True)

# A claim moves the due time on.
WEBHOOKS = Queue(
    name="test",
    model=InboundWebhook,
    state="state",
    fresh="received",
    failed="failed",
    dead="dead",
    lease=timedelta(minutes=1),
    max_attempts=3,
    first=4.0,
)
# A claim has a column of its own.
CHECKS = Queue(
    name="test",
    model=CompanyCheck,
    due_at="next_at",
    claimed_until="claimed_until",
    attempts="",
    lease=timedelta(minutes=1),
)


def webhook(*, due_in: float = -1, **fields: object) -> InboundWebhook:
    """A row that is due so many seconds from now."""
    return InboundWebhook.objects.create(
        kind="entity",
        dedupe_key=f"k{InboundWebhook.objects.count()}",
        name="record.update",
        body={},
        next_attempt_at=timezone.now() + timedelta(seconds=due_in),
        **fields,
    )


def check() -> CompanyCheck:
    company = Company.objects.create(salon_id=1)
    return CompanyCheck.objects.create(company=company, next_at=timezone.now())


def claimed(row: InboundWebhook) -> InboundWebhook:
    found = WEBHOOKS.claim(row.pk)
    assert found is not None
    return found


def let_claim_run_out(row: InboundWebhook) -> None:
    InboundWebhook.objects.filter(pk=row.pk).update(next_attempt_at=timezone.now())


@pytest.fixture(params=["webhooks", "checks"])
def queue_and_key(request: pytest.FixtureRequest) -> "tuple[Queue[Any], object]":
    return (WEBHOOKS, webhook().pk) if request.param == "webhooks" else (CHECKS, check().pk)


def in_threads(function: object, times: int) -> Iterator[object]:
    def work(_number: int) -> object:
        try:
            return function()  # type: ignore[operator]
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as threads:
        return threads.map(work, range(times))


def test_of_many_workers_one_gets_the_row(queue_and_key: "tuple[Queue[Any], object]") -> None:
    queue, key = queue_and_key
    assert queue.due(limit=9) == [key]
    rows = list(in_threads(lambda: queue.claim(key), 6))
    assert len([row for row in rows if row is not None]) == 1
    assert queue.due(limit=9) == []


def test_batches_of_several_workers_have_no_row_in_common() -> None:
    keys = [webhook().pk for _ in range(30)]
    batches = list(in_threads(lambda: WEBHOOKS.claim_batch(20)[1], 3))
    got = [key for batch in batches for key in batch]  # type: ignore[attr-defined]
    assert sorted(got) == sorted(set(got))
    while batch := WEBHOOKS.claim_batch(20)[1]:
        got += batch
    assert sorted(got) == keys


def test_the_longest_waiting_row_comes_first_and_what_is_not_due_not_at_all() -> None:
    later, first = webhook(due_in=-5), webhook(due_in=-60)
    webhook(due_in=60)
    webhook(state="dead")
    assert WEBHOOKS.due(limit=9) == [first.pk, later.pk]
    assert WEBHOOKS.due(limit=1) == [first.pk]


def test_a_row_whose_worker_died_is_due_again_when_its_claim_runs_out() -> None:
    row = claimed(webhook())
    assert WEBHOOKS.claim(row.pk) is None
    let_claim_run_out(row)
    assert claimed(row).attempts == 2


def test_a_worker_whose_claim_ran_out_changes_nothing() -> None:
    slow = claimed(webhook())
    let_claim_run_out(slow)
    quick = claimed(slow)
    with pytest.raises(ClaimLost):
        WEBHOOKS.finish(slow, state="applied")
    with pytest.raises(ClaimLost):
        WEBHOOKS.renew(slow)
    WEBHOOKS.retry(slow, error="too slow")
    WEBHOOKS.finish(quick, state="ignored", next_attempt_at=None)
    row = InboundWebhook.objects.get()
    assert (row.state, row.last_error) == ("ignored", "")


def test_what_was_done_under_a_lost_claim_is_undone_with_the_transaction() -> None:
    slow = claimed(webhook())
    let_claim_run_out(slow)
    with pytest.raises(ClaimLost), transaction.atomic():
        Company.objects.create(salon_id=1)
        WEBHOOKS.finish(slow, state="applied")
    assert not Company.objects.exists()


def test_a_renewed_claim_is_still_ones_own() -> None:
    row = claimed(webhook())
    WEBHOOKS.renew(row)
    WEBHOOKS.finish(row, state="applied", next_attempt_at=None)
    assert InboundWebhook.objects.get().state == "applied"


def test_a_failed_row_waits_and_is_given_up_at_last() -> None:
    row = webhook()
    for attempt in range(1, 4):
        let_claim_run_out(row)
        assert WEBHOOKS.retry(claimed(row), error="of no use") == (attempt == 3)
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_error, row.next_attempt_at) == ("dead", 3, "of no use", None)
    assert list(WEBHOOKS.given_up()) == [row]
    assert WEBHOOKS.replay(WEBHOOKS.given_up()) == 1
    assert claimed(row).attempts == 1


def test_a_row_that_its_workers_die_of_is_given_up() -> None:
    row = webhook()
    for _worker in range(WEBHOOKS.max_attempts):
        claimed(row)
        let_claim_run_out(row)
    assert WEBHOOKS.claim(row.pk) is None
    row.refresh_from_db()
    assert (row.state, row.last_error) == ("dead", NEVER_FINISHED)


def test_a_pause_that_was_asked_for_is_kept() -> None:
    row = claimed(webhook())
    WEBHOOKS.retry(row, error="busy", retry_after=900)
    row.refresh_from_db()
    assert row.next_attempt_at is not None
    assert row.next_attempt_at > timezone.now() + timedelta(seconds=890)


def test_an_early_claim_takes_only_what_nobody_has_tried() -> None:
    row = webhook(due_in=60)
    assert WEBHOOKS.claim(row.pk) is None
    assert WEBHOOKS.claim(row.pk, early=True) is not None
    assert WEBHOOKS.claim(row.pk, early=True) is None


def test_an_early_claim_respects_the_claim_of_another() -> None:
    row = check()
    CompanyCheck.objects.update(next_at=timezone.now() + timedelta(hours=1))
    assert CHECKS.claim(row.pk) is None
    mine = CHECKS.claim(row.pk, early=True)
    assert mine is not None
    assert CHECKS.claim(row.pk, early=True) is None
    CHECKS.release(mine)
    assert CHECKS.claim(row.pk, early=True) is not None


def test_a_locked_row_that_fails_is_counted() -> None:
    with transaction.atomic():
        row = WEBHOOKS.lock(webhook().pk)
    assert row is not None
    WEBHOOKS.retry(row, error="broken", count=True)
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("failed", 1)


def test_a_backlog_tells_what_waits_since_when_and_what_was_given_up() -> None:
    first = webhook(due_in=-60)
    webhook()
    webhook(due_in=60)
    webhook(state="dead")
    backlog = WEBHOOKS.backlog()
    assert (backlog.due, backlog.oldest, backlog.dead) == (2, first.next_attempt_at, 1)
    assert replace(WEBHOOKS, fresh="applied", failed="").backlog().oldest is None


def test_replayed_rows_are_hinted_at(monkeypatch: pytest.MonkeyPatch) -> None:
    hinted: list[bool] = []
    monkeypatch.setattr(hints, "wake_workers", lambda: hinted.append(True))
    WEBHOOKS.replay(InboundWebhook.objects.all())
    assert hinted == [True]
