"""Bookings at real workers: several at once, woken by the url, which stays as fast as for other webhooks."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from marketplace.models import InboundWebhook, RecordState
from marketplace.webhooks import processing
from marketplace.worker.loop import Worker
from tests.marketplace.bookings.salon import in_days, open_salon, record_body
from tests.marketplace.webhook_posts import MOSCOW_WEBHOOK_URL, post, store
from tests.marketplace.worker.test_worker import at_work, until
from whatsapp.messages import status_changes
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)


async def test_workers_tell_of_a_booking_and_remind_of_it() -> None:
    await sync_to_async(open_salon)(created_on=True, moved_on=True, reminder_on=True)
    async with at_work(Worker(), Worker()):
        for second, days in enumerate((3, 4, 5)):
            status = "update" if second else "create"
            body = record_body(status, second, start=in_days(days))
            assert (await sync_to_async(post)(body, MOSCOW_WEBHOOK_URL)).status_code == 200
        # One that the other worker has overtaken says nothing new.
        await until(lambda: InboundWebhook.objects.filter(state__in=["applied", "ignored"]).count() == 3)
        await until(lambda: Message.objects.filter(status="queued", source="booking").count() == 1)
        await sync_to_async(RecordState.objects.update)(reminder_at=timezone.now())
        await until(lambda: Message.objects.filter(source="reminder").count() == 1)
    row = await RecordState.objects.aget()
    assert row.starts_at == in_days(5)
    assert row.reminder_at is None


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_webhooks_of_one_booking_applied_at_once_lead_to_one_message() -> None:
    open_salon()
    for second in range(12):
        body = record_body("update" if second else "create", second, start=in_days(3 + second))
        store(body)

    def apply(pk: int) -> str:
        try:
            return processing.apply(webhook=InboundWebhook.objects.get(pk=pk))
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        states = list(threads.map(apply, processing.BOOKINGS.due(limit=100)))
    assert set(states) <= {"applied", "ignored"}
    assert RecordState.objects.get().starts_at == in_days(14)
    [waiting] = Message.objects.filter(status="queued")
    assert (waiting.external_id or "").endswith(":created")


def test_the_door_asks_the_database_no_more_for_a_booking_than_for_what_it_ignores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_salon()
    counts = []
    monkeypatch.setattr(status_changes, "MIN_BETWEEN_HINTS", 3600.0)  # a burst hints a few times a second
    for second, resource in enumerate(("record", "record", "client")):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            post({**record_body("create", second), "resource": resource}, MOSCOW_WEBHOOK_URL)
        counts.append(len(queries))
    assert counts[1] == counts[2]


def test_applying_a_webhook_that_says_nothing_takes_few_queries() -> None:
    open_salon()
    post(record_body("create", 1), MOSCOW_WEBHOOK_URL)
    [pk] = processing.BOOKINGS.due(limit=2)
    processing.apply(webhook=InboundWebhook.objects.get(pk=pk))
    Message.objects.update(status="delivered", wa_message_id="WA1")
    post(record_body("update", 2, attendance=2), MOSCOW_WEBHOOK_URL)
    [pk] = processing.BOOKINGS.due(limit=2)
    webhook = InboundWebhook.objects.get(pk=pk)
    with CaptureQueriesContext(connection) as queries:
        processing.apply(webhook=webhook)
    # Claimed and read; salon, booking, settings, message; kept; finished and read; begin and commit.
    assert len(queries) <= 11, [query["sql"][:90] for query in queries]
