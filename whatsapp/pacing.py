"""Spreading starts over time."""

import asyncio
import time


class Pacer:
    """Lets one caller through every `interval` seconds, in the order they came."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._next = 0.0

    async def wait(self) -> None:
        """Return when it is this caller's turn."""
        now = time.monotonic()
        turn = max(now, self._next)
        self._next = turn + self.interval
        await asyncio.sleep(turn - now)
