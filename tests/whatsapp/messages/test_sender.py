"""A session's messages on the simulated engine: order, truth, and what a death in the middle leaves."""

import asyncio
import math
from datetime import timedelta

import pytest
from django.utils import timezone

from config.shared.database import in_thread
from tests.whatsapp.outgoing import CLIENT, new, queue, until_message, until_status
from tests.whatsapp.pools import Running, end_lease, linked_session, running_pool, until
from whatsapp.messages import limits
from whatsapp.models import KnownNumber, Message, Session
from whatsapp.sessions import services

pytestmark = pytest.mark.django_db(transaction=True)
Status = Message.Status


@pytest.fixture(autouse=True)
def _as_fast_as_it_goes(settings: object) -> None:
    settings.SENDING_PACED = False  # type: ignore[attr-defined]


async def texts(running: Running) -> list[str]:
    return [sent.text for sent in running.engine.sent]


class TestTheWayOfAMessage:
    async def test_it_is_sent_only_when_whatsapp_has_acknowledged_it(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            (message,) = await queue(session, new("Your booking is at 10:00"))
            row = await until_status(message, Status.SENT)
            (sent,) = running.engine.sent
            assert (sent.phone, sent.text) == (CLIENT, "Your booking is at 10:00")
            assert row.wa_message_id == sent.wa_message_id
            assert row.sending_at is not None
            assert row.sent_at is not None

    async def test_receipts_bring_it_to_delivered_and_read_and_never_back(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            (message,) = await queue(session)
            row = await until_status(message, Status.SENT)
            running.engine.read(str(session.pk), row.wa_message_id)
            row = await until_status(message, Status.READ)
            assert row.delivered_at is not None
            running.engine.deliver(str(session.pk), row.wa_message_id)
            (later,) = await queue(session)
            await until_status(later, Status.SENT)  # the receipt was heard before
            assert (await until_status(message, Status.READ)).read_at == row.read_at

    async def test_a_receipt_before_the_acknowledgement_counts(self) -> None:
        async with running_pool() as running:
            running.engine.script.receipts_first = True
            session = await linked_session(running)
            (message,) = await queue(session)
            row = await until_status(message, Status.DELIVERED)
            assert row.delivered_at is not None
            assert row.sent_at is not None
            assert row.delivered_at >= row.sent_at

    async def test_messages_go_in_the_order_they_came(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            batch = await queue(session, *(new(f"text {number}") for number in range(40)))
            await until_status(batch[-1], Status.SENT)
            assert await texts(running) == [f"text {number}" for number in range(40)]

    async def test_advertising_goes_after_what_serves_a_booking(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            await in_thread(limits.pause, session=session, reason="test")
            await asyncio.sleep(0)
            day: dict[str, object] = {"adds_from": "00:00", "adds_until": "00:00"}
            await in_thread(limits.set_timezone, session=session, timezone_name="UTC")
            await in_thread(_set_limits, session, day)
            sale, _booking = await queue(session, new("Sale", category="adds"), new("Booking"))
            await in_thread(limits.unpause, session=session, reason="test")
            await until_status(sale, Status.SENT)
            assert await texts(running) == ["Booking", "Sale"]

    async def test_a_number_without_whatsapp_is_reported_and_not_written_to(self) -> None:
        async with running_pool() as running:
            running.engine.script.not_on_whatsapp = {"79990009999"}
            session = await linked_session(running)
            nobody, somebody = await queue(session, new(phone="79990009999"), new())
            row = await until_status(nobody, Status.FAILED)
            assert row.error_code == "not_on_whatsapp"
            await until_status(somebody, Status.SENT)
            assert [sent.phone for sent in running.engine.sent] == [CLIENT]

    async def test_what_is_too_late_is_reported_and_not_sent(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            (late,) = await queue(session, new(expires_at=timezone.now() - timedelta(seconds=1)))
            assert (await until_status(late, Status.EXPIRED)).error_code == "expired"
            assert running.engine.sent == []

    async def test_a_paused_session_keeps_its_messages(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            await in_thread(limits.pause, session=session, reason="the salon is frozen")
            (message,) = await queue(session)
            await until(session, lambda row: row.sending_paused)
            assert running.engine.sent == []
            await in_thread(limits.unpause, session=session, reason="paid")
            await until_status(message, Status.SENT)

    async def test_messages_wait_while_the_line_is_down(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            running.engine.drop(str(session.pk), back_after=math.inf)
            await until(session, lambda row: row.status == Session.Status.RECONNECTING)
            (message,) = await queue(session)
            running.engine.restore(str(session.pk))
            await until_status(message, Status.SENT)
            row = await in_thread(Session.objects.get, pk=session.pk)
            assert row.status == Session.Status.CONNECTED

    async def test_an_unlinked_device_fails_what_waits(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            later = timezone.now() + timedelta(hours=1)
            (message,) = await queue(session, new(not_before=later))
            running.engine.log_out(str(session.pk))
            row = await until_status(message, Status.FAILED)
            assert row.error_code == "session_unlinked"


def _set_limits(session: Session, fields: dict[str, object]) -> None:
    session.limits.__class__.objects.filter(session=session).update(**fields)


class TestRefusals:
    async def test_a_passing_refusal_is_tried_again(self) -> None:
        async with running_pool() as running:
            running.engine.script.send_failures = [("refused: server returned error 429", False)]
            session = await linked_session(running)
            (message,) = await queue(session)
            row = await until_status(message, Status.SENT)
            assert (row.attempts, row.failures, row.error_code) == (2, 1, "")

    async def test_a_lasting_refusal_fails_at_once(self) -> None:
        async with running_pool() as running:
            running.engine.script.send_failures = [("refused: server returned error 400", True)]
            session = await linked_session(running)
            (message,) = await queue(session)
            row = await until_status(message, Status.FAILED)
            assert row.error_code == "refused"
            assert "400" in row.error


async def handed_over(running: Running, message: Message) -> None:
    """Return when the engine has the message and will not answer."""
    await until_message(
        message, lambda row: row.status == Status.SENDING and not running.engine.script.lost_answers
    )


class TestInTheMiddle:
    async def test_a_dead_host_leaves_one_message_in_doubt_which_is_sent_once_more(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            running.engine.script.lost_answers = [False]
            first, second = await queue(session, new("first"), new("second"))
            await handed_over(running, first)
            running.engine.kill_host(str(session.pk))
            row = await until_status(first, Status.SENT)
            assert (row.unknowns, row.attempts) == (1, 2)
            assert (await until_status(second, Status.SENT)).unknowns == 0
            assert await texts(running) == ["first", "second"]

    async def test_the_doubt_is_only_reported_when_that_is_the_policy(self, settings: object) -> None:
        settings.SENDING_UNKNOWN = "report"  # type: ignore[attr-defined]
        async with running_pool() as running:
            session = await linked_session(running)
            running.engine.script.lost_answers = [True]
            (message,) = await queue(session)
            await handed_over(running, message)
            running.engine.kill_host(str(session.pk))
            row = await until_status(message, Status.UNKNOWN)
            assert row.error_code == "unknown_outcome"
            assert row.finished_at is not None

    async def test_a_second_doubt_ends_it(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            running.engine.script.lost_answers = [True]
            (message,) = await queue(session)
            await handed_over(running, message)
            running.engine.script.lost_answers = [True]
            running.engine.kill_host(str(session.pk))
            await handed_over(running, message)
            running.engine.kill_host(str(session.pk))
            row = await until_status(message, Status.UNKNOWN)
            assert row.unknowns == 2
            assert len(running.engine.sent) == 2

    async def test_a_killed_pools_message_in_flight_is_settled_by_the_next_pool(self) -> None:
        async with running_pool() as first:
            session = await linked_session(first)
            first.engine.script.lost_answers = [False]
            (message,) = await queue(session)
            await handed_over(first, message)
            await first.crash()
            await end_lease(session)
        async with running_pool() as second:
            row = await until_status(message, Status.SENT)
            assert row.unknowns == 1
            assert len(second.engine.sent) == 1

    async def test_a_polite_stop_waits_for_the_answer(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            running.engine.script.lost_answers = [True]
            (message,) = await queue(session)
            await handed_over(running, message)
            running.stop.set()
            await asyncio.sleep(0.2)
            from whatsapp.engine.events import Sent

            row = await in_thread(Message.objects.get, pk=message.pk)
            running.engine._event_queue.put(Sent(str(session.pk), f"{row.pk}.{row.attempts}", "3EB0AA"))
            await running.task
            row = await in_thread(Message.objects.get, pk=message.pk)
            assert (row.status, row.wa_message_id, row.unknowns) == (Status.SENT, "3EB0AA", 0)


class TestInbound:
    async def test_a_clients_message_is_stored_once_with_its_number(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            running.engine.incoming(str(session.pk), CLIENT, "May I come at noon?")
            running.engine.incoming(str(session.pk), None, note="image")  # 79990000000, by its LID alone
            rows = await _inbound(session, 2)
            assert (rows[0].phone, rows[0].text, rows[0].callback_state) == (
                CLIENT,
                "May I come at noon?",
                "due",
            )
            assert (rows[1].note, rows[1].lid) == ("image", "00000009997@lid")
            known = await in_thread(KnownNumber.objects.get, phone=CLIENT)
            assert known.lid == rows[0].lid

    async def test_what_the_database_cannot_keep_is_left_out_of_a_text(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            running.engine.incoming(str(session.pk), CLIENT, "nul\x00 and half \ud83d")
            (row,) = await _inbound(session, 1)
            assert row.text == "nul and half ?"


async def _inbound(session: Session, number: int) -> list[Message]:
    def rows() -> list[Message]:
        return list(Message.objects.filter(session=session, direction="in").order_by("id"))

    async with asyncio.timeout(60):
        while len(found := await in_thread(rows)) < number:
            await asyncio.sleep(0.02)
    return found


async def test_an_idle_session_asks_the_database_nothing(django_assert_num_queries: object) -> None:
    """The due messages of all sessions are one query of the pool."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from whatsapp.messages import outbox

    def asked() -> list[str]:
        with CaptureQueriesContext(connection) as seen:
            outbox.read_held(owner="nobody")
        return [query["sql"] for query in seen.captured_queries]

    assert len(await in_thread(asked)) == 1


async def test_services_find_a_session_by_its_device() -> None:
    session = await in_thread(services.create_session)
    (message,) = await queue(session)
    assert (message.status, message.error_code) == (Status.FAILED, "session_unlinked")
