"""Counts what is done in the order in which it came, and lets callers wait for what was there before them."""

import asyncio
from collections import deque


class Backlog:
    """For one event loop. `left` is the number of things that came and are not done."""

    def __init__(self) -> None:
        self._added = self._done = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()  # who waits for which number

    @property
    def left(self) -> int:
        """How many are not done."""
        return self._added - self._done

    def add(self) -> None:
        """One more has come."""
        self._added += 1

    def mark_done(self, count: int = 1) -> None:
        """The oldest `count` of them are done."""
        self._done += count
        while self._waiting and self._waiting[0][0] <= self._done:
            _number, reached = self._waiting.popleft()
            if not reached.done():
                reached.set_result(None)

    async def cleared(self) -> None:
        """Return when all that had come before the call is done."""
        if self.left:
            reached = asyncio.get_running_loop().create_future()
            self._waiting.append((self._added, reached))
            await reached
