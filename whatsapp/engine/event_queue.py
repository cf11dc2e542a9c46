"""The stream of events from an engine to its one consumer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from whatsapp.engine.backlog import Backlog
from whatsapp.engine.events import Event


class EventQueue:
    """Events in order. Events of hosts wait for room; those of the engine itself always fit, because there
    are at most a few for each session."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False
        self._failure: BaseException | None = None
        self._unhandled = Backlog()

    def put(self, event: Event) -> None:
        """Add an event at once."""
        self._unhandled.add()
        self._events.append(event)
        self._changed.set()
        if len(self._events) >= self._limit:
            self._room.clear()

    async def room(self) -> None:
        """Return when there are fewer events than the limit."""
        await self._room.wait()

    def close(self) -> None:
        """Let the consumer end after the events that are there."""
        self._closed = True
        self._room.set()
        self._changed.set()

    def fail(self, error: BaseException) -> None:
        """Let the consumer raise `error` after the events that are there."""
        self._failure = self._failure or error
        self._changed.set()

    async def drained(self) -> None:
        """Return when the consumer has handled every event that was put before."""
        await self._unhandled.cleared()

    async def events(self) -> AsyncIterator[Event]:
        """Every event in order, until `close` or `fail`."""
        while True:
            while self._events:
                event = self._events.popleft()
                if len(self._events) < self._limit:
                    self._room.set()
                yield event
                self._unhandled.mark_done()
            if self._failure is not None:
                raise self._failure
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()
