"""Writing down what WhatsApp has said, come what may.

An acknowledgement that is lost means a second message to a person. So it is written whoever holds the
session's lease by then, and tried again for as long as the database is away.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

import structlog
from django.db import InterfaceError, OperationalError

from config.shared.database import in_thread
from whatsapp.engine import events
from whatsapp.messages import inbox, outbox

log = structlog.get_logger("pool")
P = ParamSpec("P")
T = TypeVar("T")
RETRY = 0.5  # seconds


def write_sent(event: events.Sent) -> bool:
    """Note an acknowledgement; its reference is `<message>.<attempt>`."""
    pk, _, attempt = event.ref.partition(".")
    return outbox.record_sent(pk=int(pk), attempt=int(attempt), wa_message_id=event.wa_message_id)


def write_receipt(event: events.Receipt) -> set[str]:
    """Note a receipt; return the ids that are known."""
    return inbox.record_receipts(
        session_id=event.session, message_ids=event.message_ids, kind=event.kind, at=event.at
    )


def writing(event: events.Event) -> Callable[[], object] | None:
    """What is to be written down for this event, whoever holds the lease; None when nothing is."""
    if isinstance(event, events.Sent):
        return partial(write_sent, event)
    if isinstance(event, events.Receipt):
        return partial(write_receipt, event)
    if isinstance(event, events.Incoming):
        return partial(inbox.record_incoming, event)
    return None


class DurableWriter:
    """What is being written down; one for each pool."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.waiting = 0  # for the database to come back

    def note(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Task[T]":
        """Begin to write; goes on whatever becomes of the caller."""
        task = asyncio.create_task(self._write(function, *args, **kwargs), name="fact")
        self._tasks.add(task)
        task.add_done_callback(self._written)
        return task

    async def keep(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Write and return the result. A cancelled caller does not interrupt the writing."""
        return await asyncio.shield(self.note(function, *args, **kwargs))

    async def flush(self, seconds: float) -> None:
        """Wait until everything is written, at most this long."""
        if self._tasks:
            _done, late = await asyncio.wait(set(self._tasks), timeout=seconds)
            if late:
                log.error("facts not written", facts=len(late))

    async def _write(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await in_thread(function, *args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            log.warning("database unavailable", task="facts", error=str(error).partition("\n")[0])
        self.waiting += 1
        try:
            while True:
                await asyncio.sleep(RETRY)
                try:
                    return await in_thread(function, *args, **kwargs)
                except (OperationalError, InterfaceError) as error:
                    log.debug("database still unavailable", task="facts", error=repr(error))
        finally:
            self.waiting -= 1

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("fact not written", error=repr(error))
