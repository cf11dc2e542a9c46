"""Spreading starts and messages over time."""

import asyncio
import random
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


class TokenBucket:
    """How soon the next message may follow: one token each `gap` seconds, at most `burst` saved up.

    Each pause is drawn anew within `jitter` of the gap. Times are the monotonic clock's.
    """

    def __init__(self, *, tokens: float, now: float) -> None:
        self._tokens = tokens
        self._counted_at = now
        self._stretch = 1.0

    def ready_in(self, *, now: float, gap: float, burst: int) -> float:
        """Seconds until a token is there; 0 when one is, and always without a gap."""
        if gap <= 0:
            return 0.0
        pause = gap * self._stretch
        self._tokens = min(float(burst), self._tokens + (now - self._counted_at) / pause)
        self._counted_at = now
        return max(0.0, (1.0 - self._tokens) * pause)

    def take(self, *, jitter: float) -> None:
        """Use one token up and draw the next pause."""
        self._tokens = max(0.0, self._tokens - 1.0)
        self._stretch = random.uniform(1 - jitter, 1 + jitter)  # noqa: S311  (looks human, is no secret)
