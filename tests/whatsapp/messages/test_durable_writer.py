"""What WhatsApp has said is written down through cancellations and an absent database."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from django.db import OperationalError

from config.shared.database import in_thread
from tests.whatsapp.outgoing import queue, until_message, until_status
from tests.whatsapp.pools import linked_session, running_pool
from whatsapp.engine.events import Incoming, MessageEvent, Receipt, Sent
from whatsapp.messages import durable_writer, outbox
from whatsapp.messages.durable_writer import DurableWriter
from whatsapp.models import Message
from whatsapp.sessions import services

# All of it: threads that write keep connections of earlier tests, and look at them.
pytestmark = pytest.mark.django_db(transaction=True)
Status = Message.Status
SESSION = str(uuid.uuid4())


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


@asynccontextmanager
async def running_writer() -> AsyncIterator[tuple[DurableWriter, list[MessageEvent]]]:
    """A writer, and the events that it says are written."""
    written: list[MessageEvent] = []
    writer = DurableWriter(written.append)
    task = asyncio.create_task(writer.run())
    yield writer, written
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    writer.close()


def incoming(number: int, text: str = "Hello") -> Incoming:
    return Incoming(SESSION, f"IN{number}", "79995550101", None, text, None, time.time())


async def test_writing_waits_for_the_database() -> None:
    writer, database = DurableWriter(lambda _event: None), Absent(calls=3)
    assert await writer.write(database.write) == 1
    assert not writer.is_behind


async def test_a_cancelled_caller_does_not_interrupt_the_writing() -> None:
    writer, database = DurableWriter(lambda _event: None), Absent(calls=5)
    caller = asyncio.create_task(writer.write(database.write))
    while not writer.is_behind:
        await asyncio.sleep(0.001)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await writer.flush(5)
    assert database.written == 1


async def test_a_flush_does_not_wait_for_ever() -> None:
    writer, database = DurableWriter(lambda _event: None), Absent(calls=10_000)
    task = writer.start(database.write)
    await writer.add(incoming(1))  # nobody runs the writer
    async with asyncio.timeout(60):
        await writer.flush(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not writer.is_behind


async def test_what_waits_is_bounded_and_nothing_of_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_writer, "EVENTS_MOST", 5)
    away = asyncio.Event()
    away.set()
    stored: list[MessageEvent] = []

    def record(batch: Sequence[MessageEvent]) -> list[Receipt]:
        if away.is_set():
            raise OperationalError("the server closed the connection")
        stored.extend(batch)
        return []

    monkeypatch.setattr(durable_writer, "record_events", record)
    events = [incoming(number) for number in range(40)]
    added = 0

    async def add_all() -> None:
        nonlocal added
        for event in events:
            await writer.add(event)
            added += 1

    async with running_writer() as (writer, written):
        adding = asyncio.create_task(add_all())
        while not writer.is_behind or added < 6:  # five wait, and a batch is at work
            await asyncio.sleep(0.001)
        assert not adding.done()
        away.clear()
        async with asyncio.timeout(60):
            await adding
            await writer.flushed()
    assert stored == written == events


async def test_one_event_that_the_database_refuses_does_not_take_others_along() -> None:
    session = await in_thread(services.create_session)
    unknown = incoming(1)  # of a session that is not there
    known = replace(incoming(2), session=str(session.pk))
    async with running_writer() as (writer, _written):
        await writer.add(unknown)
        await writer.add(known)
        async with asyncio.timeout(60):
            await writer.flushed()
    rows = await in_thread(lambda: list(Message.objects.values_list("wa_message_id", flat=True)))
    assert rows == ["IN2"]


class TestThePool:
    async def test_an_acknowledgement_outlives_the_lease_and_an_absent_database(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        away = asyncio.Event()
        away.set()
        really = outbox.record_sent

        def record_sent(acknowledged: Sequence[Sent]) -> int:
            if away.is_set():
                raise OperationalError("the server closed the connection")
            return really(acknowledged)

        monkeypatch.setattr(outbox, "record_sent", record_sent)
        async with running_pool() as running:
            session = await linked_session(running)
            (message,) = await queue(session)
            await until_message(message, lambda _row: running.pool.writer.is_behind)
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
            event_queue = other.engine._event_queue
            event_queue.put(Sent(str(session.pk), f"{row.pk}.{row.attempts}", "3EB0AA"))
            await until_status(message, Status.SENT)
            event_queue.put(Receipt(str(session.pk), ["3EB0AA"], "read", time.time()))
            await until_status(message, Status.READ)
