"""What WhatsApp has said is written down through cancellations and an absent database."""

import asyncio
import time

import pytest
from django.db import OperationalError

from tests.whatsapp.outgoing import queue, until_message, until_status
from tests.whatsapp.pools import linked_session, running_pool
from whatsapp.engine.events import Receipt, Sent
from whatsapp.messages import durable_writer, outbox
from whatsapp.messages.durable_writer import DurableWriter
from whatsapp.models import Message

# All of it: threads that write keep connections of earlier tests, and look at them.
pytestmark = pytest.mark.django_db(transaction=True)
Status = Message.Status


@pytest.fixture(autouse=True)
def _as_fast_as_it_goes(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SENDING_PACED = False  # type: ignore[attr-defined]
    monkeypatch.setattr(durable_writer, "RETRY", 0.01)


class Absent:
    """A database that is away for some calls."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.written = 0

    def write(self) -> int:
        self.calls -= 1
        if self.calls >= 0:
            raise OperationalError("the server closed the connection")
        self.written += 1
        return self.written


async def test_writing_waits_for_the_database() -> None:
    kept, database = DurableWriter(), Absent(calls=3)
    assert await kept.keep(database.write) == 1
    assert kept.waiting == 0


async def test_a_cancelled_caller_does_not_interrupt_the_writing() -> None:
    kept, database = DurableWriter(), Absent(calls=5)
    caller = asyncio.create_task(kept.keep(database.write))
    while kept.waiting == 0:
        await asyncio.sleep(0.001)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await kept.flush(5)
    assert database.written == 1


async def test_a_flush_does_not_wait_for_ever() -> None:
    kept, database = DurableWriter(), Absent(calls=10_000)
    task = kept.note(database.write)
    started = time.monotonic()
    await kept.flush(0.05)
    assert time.monotonic() - started < 5
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert kept.waiting == 0


class TestThePool:
    async def test_an_acknowledgement_outlives_the_lease_and_an_absent_database(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        away = asyncio.Event()
        away.set()
        really = outbox.record_sent

        def record_sent(**given: object) -> bool:
            if away.is_set():
                raise OperationalError("the server closed the connection")
            return really(**given)  # type: ignore[arg-type]

        monkeypatch.setattr(outbox, "record_sent", record_sent)
        async with running_pool() as running:
            session = await linked_session(running)
            (message,) = await queue(session)
            await until_message(message, lambda _row: running.pool.facts.waiting)
            running.pool.runners[session.pk].abandon()
            away.clear()
            row = await until_status(message, Status.SENT)
            assert (row.unknowns, row.attempts) == (0, 1)
            assert len(running.engine.sent) == 1

    async def test_what_is_heard_of_a_session_that_was_given_back_is_written(self) -> None:
        async with running_pool() as running:
            session = await linked_session(running)
            running.engine.script.lost_answers = [True]
            (message,) = await queue(session)
            row = await until_status(message, Status.SENDING)
            await running.crash()
        async with running_pool() as other:  # holds no lease of it: that of the dead pool lasts
            mailbox = other.engine._mailbox
            mailbox.put(Sent(str(session.pk), f"{row.pk}.{row.attempts}", "3EB0AA"))
            await until_status(message, Status.SENT)
            mailbox.put(Receipt(str(session.pk), ["3EB0AA"], "read", time.time()))
            await until_status(message, Status.READ)
