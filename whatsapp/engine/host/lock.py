"""The lock around every call into the WhatsApp library.

The library keeps its sessions in plain Go maps. Starting and stopping a session writes them, every other
call reads them; a write beside a read ends the process. So starting and stopping is exclusive, the rest is
shared.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class LibraryLock:
    """A readers-writer lock that serves in order of arrival.

    A shared holder is no longer waited for once it has been inside for `settle` seconds: a call looks its
    session up in the maps as its first step and then only waits for the network (a send that nobody
    acknowledges, for more than a minute). One silent connection must not hold up the whole host.

    The exclusive side may be released by another thread than the one that took it.
    """

    def __init__(self, settle: float = 2.0) -> None:
        self._settle = settle
        self._condition = threading.Condition()
        self._queue: deque[object] = deque()
        self._shared: dict[object, float] = {}
        self._exclusive: object | None = None

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock for a call that reads the library's maps."""
        ticket = object()
        with self._condition:
            self._queue.append(ticket)
            while self._queue[0] is not ticket or self._exclusive is not None:
                self._condition.wait()
            self._queue.popleft()
            self._shared[ticket] = time.monotonic()
            self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                del self._shared[ticket]
                self._condition.notify_all()

    def acquire_exclusive(self) -> object:
        """Take the lock for a call that writes the library's maps; returns the ticket to release."""
        ticket = object()
        with self._condition:
            self._queue.append(ticket)
            while self._queue[0] is not ticket or self._exclusive is not None or self._unsettled() > 0:
                self._condition.wait(self._unsettled() or None)
            self._queue.popleft()
            self._exclusive = ticket
        return ticket

    def release_exclusive(self, ticket: object) -> None:
        """Give the lock back; a second release of the same ticket does nothing."""
        with self._condition:
            if self._exclusive is ticket:
                self._exclusive = None
                self._condition.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock for a call that writes the library's maps and returns when it is done."""
        ticket = self.acquire_exclusive()
        try:
            yield
        finally:
            self.release_exclusive(ticket)

    def _unsettled(self) -> float:
        """Seconds until no shared holder can be at its look-up any more."""
        if not self._shared:
            return 0.0
        return max(0.0, max(self._shared.values()) + self._settle - time.monotonic())
