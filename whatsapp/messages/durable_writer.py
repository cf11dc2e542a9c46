"""Writes down what WhatsApp has said of messages, many at a time, whatever happens.

An acknowledgement that is lost means a second message to a person. So it is written whoever holds the
session's lease by then, and tried again for as long as the database is away. What waits is bounded: who adds
more waits too, and at last the engine's hosts are not read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, transaction

from config.shared.database import DedicatedThread, in_thread
from whatsapp.engine.backlog import Backlog
from whatsapp.engine.events import Incoming, MessageEvent, Receipt, Sent
from whatsapp.messages import inbox, outbox
from whatsapp.messages.early_receipts import EarlyReceipts

log = structlog.get_logger("pool")
P = ParamSpec("P")
T = TypeVar("T")
RETRY = 0.5  # seconds
EVENTS_MOST = 10_000  # that wait
BATCH_MOST = 200  # events in one transaction


def record_events(events: Sequence[MessageEvent]) -> list[Receipt]:
    """Write events in one transaction; return the receipts, one for each message, of unknown messages."""
    with transaction.atomic():
        if sent := [event for event in events if isinstance(event, Sent)]:
            outbox.record_sent(sent)
        receipts = [event for event in events if isinstance(event, Receipt)]
        unknown = inbox.record_receipts(receipts) if receipts else []
        for event in events:
            if isinstance(event, Incoming):
                inbox.record_incoming(event)
    return unknown


class DurableWriter:
    """One for each pool. `on_written` is called with each event when it is in the database."""

    def __init__(self, on_written: Callable[[MessageEvent], None]) -> None:
        self._on_written = on_written
        self._events: asyncio.Queue[MessageEvent] = asyncio.Queue(maxsize=EVENTS_MOST)
        self._unwritten = Backlog()
        self._early = EarlyReceipts()
        self._thread = DedicatedThread("durable writer")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._retrying = 0

    @property
    def is_behind(self) -> bool:
        """Something waits for the database to come back."""
        return self._retrying > 0

    async def add(self, event: MessageEvent) -> None:
        """Have `run` write the event; waits while too many wait already."""
        await self._events.put(event)
        self._unwritten.add()

    async def run(self) -> None:
        """Write what was added, in the order it came. What arrives meanwhile makes up the next batch."""
        while True:
            batch = [await self._events.get()]
            while len(batch) < BATCH_MOST and not self._events.empty():
                batch.append(self._events.get_nowait())
            await self._record(batch)
            for event in batch:
                self._on_written(event)
            self._unwritten.mark_done(len(batch))

    async def flushed(self) -> None:
        """Return when all that was added before is written."""
        await self._unwritten.cleared()

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Task[T]":
        """Begin other database work that must be done; goes on whatever becomes of the caller."""
        task = asyncio.create_task(
            self._until_done(lambda: in_thread(function, *args, **kwargs)), name="durable write"
        )
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def write(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `start`, and return the result. A cancelled caller does not interrupt the work."""
        return await asyncio.shield(self.start(function, *args, **kwargs))

    async def flush(self, seconds: float) -> None:
        """Wait until everything is written, at most this long."""
        events = asyncio.create_task(self.flushed())
        _done, late = await asyncio.wait({events, *self._tasks}, timeout=seconds)
        if late:
            log.error("not everything was written", events=self._unwritten.left)
            events.cancel()

    def close(self) -> None:
        """Give the connection back."""
        self._thread.close()

    async def _record(self, batch: Sequence[MessageEvent]) -> None:
        try:
            unknown = await self._until_done(lambda: self._thread.run(record_events, batch))
        except Exception as error:  # noqa: BLE001  one event that the database refuses must not take others along
            if len(batch) == 1:
                log.error("event not written", event_type=type(batch[0]).__name__, error=repr(error))
                return
            for event in batch:
                await self._record([event])
            return
        for receipt in unknown:
            self._early.add(receipt)
        sent = [event.wa_message_id for event in batch if isinstance(event, Sent)]
        if early := [receipt for message_id in sent for receipt in self._early.pop(message_id)]:
            await self._record(early)

    async def _until_done(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except (OperationalError, InterfaceError) as error:
            log.warning("database unavailable", task="messages", error=str(error).partition("\n")[0])
        self._retrying += 1
        try:
            while True:
                await asyncio.sleep(RETRY)
                try:
                    return await work()
                except (OperationalError, InterfaceError) as error:
                    log.debug("database still unavailable", task="messages", error=repr(error))
        finally:
            self._retrying -= 1

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("not written", error=repr(error))
