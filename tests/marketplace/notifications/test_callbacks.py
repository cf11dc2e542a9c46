"""Statuses go back to YClients: truthful, in order, until they are taken or a day is over."""

import asyncio
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from marketplace.models import Company
from marketplace.notifications import callback_queue, callbacks
from marketplace.notifications.statuses import DeliveryStatus, pending
from marketplace.salons import activation
from marketplace.worker.loop import Worker
from marketplace.yclients import rate_limit
from sandbox.yclients.notifications import Notification
from tests.marketplace.listener import Listener
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import MOSCOW, make_active
from whatsapp.messages import message_queue
from whatsapp.messages.status_changes import callback_due
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = {"payment_sum": 0, "currency_iso": "RUB", "parts_amount": 1}
SECRET = "very-secret-token"


@pytest.fixture
def there(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Where the statuses go."""
    monkeypatch.setattr(rate_limit, "SPACING", timedelta(milliseconds=1))
    server = Listener()
    settings.YCLIENTS_API_URL = server.url
    yield server
    server.close()


def reports(there: Listener) -> list[list[dict[str, Any]]]:
    return [json.loads(body) for _path, _headers, body in there.got]


def statuses(there: Listener) -> list[tuple[str, int]]:
    return [(row["id"], row["status"]) for batch in reports(there) for row in batch]


def queue(there: Listener, *own_ids: str, company: Company | None = None) -> list[Message]:
    """Notifications that were taken from YClients a moment ago."""
    company = company or Company.objects.filter(salon_id=MOSCOW).first() or make_active()
    assert company.session is not None
    return message_queue.queue_messages(
        session=company.session,
        messages=[
            message_queue.NewMessage(
                phone="79990000001",
                text="Ждём вас",
                source="operator",
                external_id=f"{company.salon_id}:{own_id}",
                callback_url=f"{there.url}/api/v1/sms/delivery/{SECRET}",
            )
            for own_id in own_ids or ("n1",)
        ],
    )


def goes_on(message: Message, status: str, **fields: Any) -> None:
    """The pool learns what became of the message."""
    Message.objects.filter(pk=message.pk).update(
        status=status, wa_message_id=f"WA{message.pk}", **fields, **callback_due(timezone.now())
    )


def run_out(message: Message) -> None:
    """The time to try again has come."""
    Message.objects.filter(pk=message.pk).update(callback_next_at=timezone.now())


def fresh(message: Message) -> Message:
    return Message.objects.get(pk=message.pk)


# --- What is told ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error_code", "told", "expected"),
    [
        ("queued", "", [], [8]),
        ("sending", "", [8], []),
        ("sent", "", [8], [4]),
        ("delivered", "", [8], [4, 1]),
        ("delivered", "", [8, 4], [1]),
        ("read", "", [], [8, 4, 1]),
        ("read", "", [8, 4, 1], []),
        ("failed", "not_on_whatsapp", [8], [2]),
        ("failed", "session_unlinked", [], [8, 2]),
        ("expired", "expired", [8], [2]),
        ("unknown", "unknown_outcome", [8], [2]),
        ("failed", "opted_out", [8], [16]),
        ("failed", "refused", [8, 2], []),
        ("delivered", "", [8, 2], [4, 1]),
    ],
)
def test_each_state_is_told_once_and_in_order(
    status: str, error_code: str, told: list[int], expected: list[int]
) -> None:
    reported = sum(DeliveryStatus(code).flag for code in told)
    assert pending(status=status, error_code=error_code, reported=reported, unpaid=False) == expected


def test_a_message_that_waited_too_long_for_an_unpaid_salon_lacks_funds() -> None:
    assert pending(status="expired", error_code="expired", reported=1, unpaid=True) == [52]
    assert pending(status="failed", error_code="not_on_whatsapp", reported=1, unpaid=True) == [2]


def test_a_message_is_told_from_its_taking_to_its_delivery(there: Listener) -> None:
    message = queue(there)[0]
    assert callbacks.deliver() == 1
    for status in ("sent", "delivered", "read"):
        goes_on(message, status)
        callbacks.deliver()
    assert reports(there) == [
        [{"id": "n1", "status": 8, **PRICE}],
        [{"id": "n1", "status": 4}],
        [{"id": "n1", "status": 1, **PRICE}],
    ]
    assert {path for path, _headers, _body in there.got} == {f"/api/v1/sms/delivery/{SECRET}"}
    assert (fresh(message).callback_state, callback_queue.CALLBACKS.due(limit=5)) == ("done", [])


def test_the_currency_is_that_of_the_salons_country(there: Listener) -> None:
    queue(there, company=make_active(phone="+7 701 000 00 01"))
    callbacks.deliver()
    assert reports(there)[0][0]["currency_iso"] == "KZT"


def test_many_messages_are_told_in_one_post(there: Listener) -> None:
    rows = queue(there, *(str(number) for number in range(30)))
    goes_on(rows[3], "sent")
    callbacks.deliver()
    assert len(there.got) == 1
    expected = [(str(number), 8) for number in range(30)]
    assert statuses(there) == [*expected[:4], ("3", 4), *expected[4:]]


def test_what_clients_write_is_not_told_to_yclients(there: Listener) -> None:
    message = queue(there)[0]
    Message.objects.filter(pk=message.pk).update(direction="in", source="inbound", status="received")
    assert (callback_queue.CALLBACKS.due(limit=5), callbacks.deliver(), there.got) == ([], 0, [])


# --- Order and claims -----------------------------------------------------------------------------


def test_a_status_that_comes_during_the_post_is_told_next(there: Listener) -> None:
    message = queue(there)[0]

    def delivered_meanwhile(_body: bytes) -> int:
        try:
            goes_on(message, "delivered")
            return 200
        finally:
            connection.close()

    there.judge = delivered_meanwhile
    callbacks.deliver()
    there.judge = None
    assert fresh(message).callback_state == "due"
    callbacks.deliver()
    assert statuses(there) == [("n1", 8), ("n1", 4), ("n1", 1)]


def test_two_workers_never_post_the_same_message(there: Listener) -> None:
    queue(there, *(str(number) for number in range(callback_queue.BATCH + 20)))

    def work(_number: int) -> int:
        try:
            return callbacks.deliver()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        told = list(threads.map(work, range(4)))
    assert sum(told) == len(set(statuses(there))) == len(statuses(there)) == callback_queue.BATCH + 20


def test_a_worker_that_died_after_its_post_repeats_and_does_not_reorder(
    there: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = queue(there)[0]
    with monkeypatch.context() as dying:
        dying.setattr(callback_queue, "record_reported", lambda *_arguments: None)
        callbacks.deliver()
    goes_on(message, "sent")
    assert callback_queue.CALLBACKS.due(limit=5) == []  # the dead worker's claim still holds
    run_out(message)
    callbacks.deliver()
    assert statuses(there) == [("n1", 8), ("n1", 8), ("n1", 4)]


def test_a_worker_whose_claim_ran_out_notes_nothing(there: Listener) -> None:
    message = queue(there)[0]

    def overtaken(_body: bytes) -> int:
        try:
            run_out(message)
            return 200
        finally:
            connection.close()

    there.judge = overtaken
    callbacks.deliver()
    assert (fresh(message).reported, fresh(message).callback_state) == (0, "due")


def test_a_slow_pass_gives_the_rest_back_before_its_claim_ends(
    there: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = queue(there)[0]
    monkeypatch.setattr(callback_queue.Claim, "has_time", lambda _claim: False)
    assert (callbacks.deliver(), there.got) == (0, [])
    assert (fresh(message).callback_attempts, callback_queue.CALLBACKS.due(limit=5)) == (0, [message.pk])


# --- Failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_passing_failure_is_tried_again_later(there: Listener, status: int) -> None:
    message = queue(there)[0]
    there.status = status
    assert callbacks.deliver() == 0
    row = fresh(message)
    assert (row.callback_state, row.callback_attempts, row.callback_error) == ("due", 1, f"HTTP {status}")
    assert row.callback_next_at is not None
    assert row.callback_next_at > timezone.now()
    there.status = 200
    run_out(message)
    callbacks.deliver()
    row = fresh(message)
    assert (row.callback_state, row.callback_attempts, row.callback_error) == ("done", 0, "")


def test_a_wish_to_wait_is_honoured(there: Listener) -> None:
    message = queue(there)[0]
    there.status, there.headers = 429, {"Retry-After": "600"}
    callbacks.deliver()
    row = fresh(message)
    assert row.callback_next_at is not None
    assert row.callback_next_at - timezone.now() > timedelta(seconds=590)


def test_an_address_that_does_not_answer_is_tried_for_a_day(
    there: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: (least + most) / 2)
    message = queue(there)[0]
    there.close()
    waited, tries = timedelta(), 0
    while fresh(message).callback_state == "due":
        run_out(message)
        callbacks.deliver()
        tries += 1
        if next_at := fresh(message).callback_next_at:
            waited += next_at - timezone.now()
    assert timedelta(hours=23) < waited < timedelta(hours=25)
    assert (tries, fresh(message).callback_state) == (callback_queue.CALLBACKS.max_attempts, "dead")


@pytest.mark.parametrize("status", [401, 403, 404, 422, 307])
def test_a_refusal_is_given_up_after_a_few_tries_and_can_be_replayed(there: Listener, status: int) -> None:
    message = queue(there)[0]
    there.status = status
    for _try in range(5):
        assert fresh(message).callback_state == "due"
        run_out(message)
        callbacks.deliver()
    assert (fresh(message).callback_state, len(there.got)) == ("dead", 5)
    assert callback_queue.CALLBACKS.due(limit=5) == []
    there.status = 200
    assert callback_queue.replay_dead(ids=[message.pk])
    assert not callback_queue.replay_dead(ids=[message.pk])
    callbacks.deliver()
    assert (fresh(message).callback_state, statuses(there)[-1]) == ("done", ("n1", 8))


def test_one_refused_message_does_not_hold_up_the_others(there: Listener) -> None:
    rows = queue(there, *(str(number) for number in range(16)))
    there.judge = lambda body: 404 if any(row["id"] == "5" for row in json.loads(body)) else 200
    assert callbacks.deliver() == 15
    assert [fresh(row).callback_state for row in rows] == ["done"] * 5 + ["due"] + ["done"] * 10
    assert len(there.got) <= 10


def test_one_message_that_cannot_be_read_does_not_hold_up_the_others(there: Listener) -> None:
    odd, *others = queue(there, "a", "b", "c")
    Message.objects.filter(pk=odd.pk).update(external_id="no salon's number:a")
    assert callbacks.deliver() == 2
    assert [fresh(row).callback_state for row in others] == ["done", "done"]
    row = fresh(odd)
    assert (row.callback_state, row.callback_attempts) == ("due", 1)
    assert "ValueError" in row.callback_error


def test_a_refused_address_is_not_asked_for_each_message(there: Listener) -> None:
    queue(there, "a", "b", "c", "d")
    there.status = 403
    callbacks.deliver()
    assert len(there.got) == 1


def test_an_address_that_is_no_longer_allowed_is_given_up(there: Listener, settings: Any) -> None:
    message = queue(there)[0]
    settings.YCLIENTS_API_URL = "https://api.yclients.com"
    callbacks.deliver()
    assert (there.got, fresh(message).callback_attempts) == ([], callback_queue.REFUSAL)


def test_an_address_that_no_key_opens_does_not_hold_up_the_others(there: Listener) -> None:
    broken, good = queue(there, "a", "b")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE whatsapp_message SET callback_url = 'damaged' WHERE id = %s", [broken.pk])
    assert callbacks.deliver() == 1
    assert fresh(good).callback_state == "done"
    assert Message.objects.filter(pk=broken.pk, callback_state="dead").exists()


def test_without_a_free_call_slot_the_report_waits_unharmed(
    there: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken() -> None:
        raise rate_limit.SlotsTaken(7.0)

    message = queue(there)[0]
    monkeypatch.setattr(rate_limit, "wait_for_slot", taken)
    callbacks.deliver()
    assert (fresh(message).callback_attempts, fresh(message).callback_state, there.got) == (0, "due", [])


def test_the_address_is_in_no_log(there: Listener, caplog: pytest.LogCaptureFixture) -> None:
    message = queue(there)[0]
    for status in (500, 404, 200):
        there.status = status
        run_out(message)
        callbacks.deliver()
    there.close()
    goes_on(message, "sent")
    callbacks.deliver()
    assert "statuses not reported" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in fresh(message).callback_error


async def test_the_worker_tells_what_is_due_by_itself(there: Listener) -> None:
    stop = asyncio.Event()
    worker = asyncio.create_task(Worker().run(stop))
    message = (await sync_to_async(queue)(there))[0]
    async with asyncio.timeout(60):
        while not there.got:  # the server of another thread has no event to wait for
            await asyncio.sleep(0.02)
        await sync_to_async(goes_on)(message, "sent")
        while len(there.got) < 2:
            await asyncio.sleep(0.02)
    stop.set()
    await worker
    assert statuses(there) == [("n1", 8), ("n1", 4)]


# --- With YClients --------------------------------------------------------------------------------


def test_yclients_sends_over_http_and_receives_every_status(
    connected: Company, yclients: LocalYClients, live_server: LiveServer
) -> None:
    activation.activate(company=connected, cause="test")
    yclients.do(lambda there: setattr(there.settings, "product_url", live_server.url))
    sent = send(yclients, "n1", "8 (999) 000-00-01")
    again = send(yclients, "n1", "8 (999) 000-00-01")
    absent = send(yclients, "n2", "89990000002")
    refused = send(yclients, "n3", "12")
    message, other = Message.objects.order_by("pk")
    assert (sent.ext_id, again.ext_id, absent.ext_id) == (str(message.pk), str(message.pk), str(other.pk))
    assert (refused.http_status, refused.error_code) == (400, 10)
    callbacks.deliver()
    goes_on(other, "failed", error_code="not_on_whatsapp")
    for status in ("sent", "delivered", "read"):
        goes_on(message, status)
        callbacks.deliver()
    kept = yclients.do(
        lambda there: {one.id: [entry.status for entry in one.statuses] for one in there.notifications}
    )
    assert kept == {"n1": [8, 4, 1], "n2": [8, 2], "n3": []}


def send(yclients: LocalYClients, own_id: str, phone: str) -> Notification:
    return yclients.wait_for(lambda there: there.send_notification(MOSCOW, phone, "Ждём вас", id=own_id))
