"""Claiming the next messages of many sessions at once: each its own, and none held up by another."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.shared.database import in_thread
from tests.whatsapp.outgoing import CLIENT, new
from whatsapp.engine.events import NumberResult
from whatsapp.messages import message_queue, numbers, outbox
from whatsapp.messages.claims import ClaimBatches, ClaimRequest, Step, claim_many
from whatsapp.models import Message, Session
from whatsapp.sessions import services
from whatsapp.sessions.leases import Lease, LeaseLost

pytestmark = pytest.mark.django_db(transaction=True)
Status = Message.Status
PATIENCE = 60


def linked_session() -> Session:
    return Session.objects.create(
        jid="79990000001:1@s.whatsapp.net",
        wanted="linked",
        status="connected",
        lease_owner="a",
        lease_token=1,
    )


def request(session: Session, *, token: int = 1) -> ClaimRequest:
    return ClaimRequest(Lease(session.pk, "a", token, time.monotonic() + 60), unchecked_too=True)


def queue(session: Session, *texts: str, **fields: object) -> list[Message]:
    return message_queue.queue_messages(session=session, messages=[new(text, **fields) for text in texts])


def text_of(step: Step | LeaseLost) -> str:
    assert isinstance(step, Step)
    return step.message.text if step.message else ""


def test_each_session_gets_its_own_next_message() -> None:
    sessions = [linked_session() for _ in range(3)]
    for number, session in enumerate(sessions):
        queue(session, f"first {number}", f"second {number}")
    idle, lost = linked_session(), linked_session()
    queue(lost, "of another pool by now")
    steps = claim_many([*map(request, sessions), request(idle), request(lost, token=0)])
    assert [text_of(step) for step in steps[:4]] == ["first 0", "first 1", "first 2", ""]
    assert isinstance(steps[4], LeaseLost)
    sending = Message.objects.filter(status=Status.SENDING)
    assert sorted(sending.values_list("text", "attempts")) == [(f"first {n}", 1) for n in range(3)]


def test_many_sessions_cost_no_more_queries_than_one() -> None:
    numbers.record([NumberResult(phone=CLIENT, jid=None, lid=None, on_whatsapp=True)])
    sessions = [linked_session() for _ in range(10)]
    for session in sessions:
        queue(session, "first", "second")

    def queries(asked: list[Session]) -> int:
        with CaptureQueriesContext(connection) as seen:
            claim_many([request(session) for session in asked])
        return len(seen)

    assert queries(sessions[:1]) == queries(sessions[1:])


def test_advertising_at_night_holds_its_session_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    later = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr("whatsapp.messages.limits.Limits.adds_wait_until", lambda _limits, _now: later)
    sale, booking = linked_session(), linked_session()
    queue(sale, "Sale", category="adds")
    queue(booking, "Booking")
    held, sent = claim_many([request(sale), request(booking)])
    assert isinstance(held, Step)
    assert (held.held, text_of(held), text_of(sent)) == (True, "", "Booking")


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite locks the whole database")
def test_a_row_that_somebody_has_locked_holds_up_nobody() -> None:
    locked, free = linked_session(), linked_session()
    for session in (locked, free):
        queue(session, "text")
    holding, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Session.objects.select_for_update().get(pk=locked.pk)
            holding.set()
            let_go.wait(PATIENCE)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(PATIENCE)
    later, now = claim_many([request(locked), request(free)])
    let_go.set()
    thread.join()
    assert isinstance(later, Step)
    assert (later.again, text_of(later), text_of(now)) == (True, "", "text")
    (again,) = claim_many([request(locked)])
    assert text_of(again) == "text"


@asynccontextmanager
async def running_batches() -> AsyncIterator[ClaimBatches]:
    batches = ClaimBatches()
    task = asyncio.create_task(batches.run())
    yield batches
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    batches.close()


async def test_a_fault_of_one_session_does_not_stop_the_others() -> None:
    def make() -> tuple[Session, Session]:
        faulty, sound = linked_session(), linked_session()
        for session in (faulty, sound):
            queue(session, "first", "second")
        Message.objects.filter(session=faulty, text="second").update(status=Status.SENDING)  # two in flight
        return faulty, sound

    faulty, sound = await in_thread(make)
    async with running_batches() as batches, asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(
            batches.claim(request(faulty)), batches.claim(request(sound)), return_exceptions=True
        )
    assert isinstance(answers[0], Exception)
    assert isinstance(answers[1], Step)
    assert text_of(answers[1]) == "first"


def test_a_change_is_noticed_whatever_the_clock_of_who_made_it() -> None:
    session = linked_session()
    (before,) = outbox.read_held(owner="a")
    services.restart(session=session, reason="test")
    Session.objects.update(updated_at=timezone.now() - timedelta(hours=1))
    (after,) = outbox.read_held(owner="a")
    assert after.version > before.version
    assert outbox.read_held(owner="b") == []
