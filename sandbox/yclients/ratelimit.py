"""The limit of YCLIENTS' API: 5 requests a second and 200 a minute for one client address."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable

# (requests, seconds)
LIMITS = ((5, 1.0), (200, 60.0))


class RateLimit:
    """Sliding windows over accepted requests; a refused request costs nothing."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.enabled = True
        self._monotonic = monotonic
        self._accepted: dict[str, deque[float]] = defaultdict(deque)

    def take(self, address: str) -> float:
        """Count a request of `address`: 0 when it may pass, otherwise the seconds to wait."""
        if not self.enabled:
            return 0.0
        now = self._monotonic()
        accepted = self._accepted[address]
        while accepted and now - accepted[0] >= LIMITS[-1][1]:
            accepted.popleft()
        wait = 0.0
        for count, window in LIMITS:
            if len(accepted) >= count:
                wait = max(wait, accepted[-count] + window - now)
        if wait <= 0:
            accepted.append(now)
        return max(wait, 0.0)

    def reset(self) -> None:
        """Forget what was counted."""
        self._accepted.clear()
