"""Rate limits that hold over all our processes: each hit is one atomic count in Redis.

Without Redis, and while it cannot be asked, each process counts for itself.
"""

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import redis.exceptions
import structlog
from django.conf import settings
from limits import RateLimitItem
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

log = structlog.get_logger("limits")

# Seconds; a person or a machine waits for its answer behind this question.
PATIENCE = 1.0
REDIS_OPTIONS: dict[str, Any] = {
    "key_prefix": "salon-whatsapp-limits",
    "socket_timeout": PATIENCE,
    "socket_connect_timeout": PATIENCE,
}
NO_ANSWER = (redis.exceptions.RedisError, OSError)


@dataclass(frozen=True, slots=True)
class Window:
    """What one hit has left of its window."""

    allowed: bool
    remaining: int  # hits
    resets_in: int  # whole seconds, at least 1


_own = FixedWindowRateLimiter(MemoryStorage())


def hit(limit: RateLimitItem, *key: str) -> Window:
    """Count one hit of `key`, and say whether it is within `limit`."""
    if settings.REDIS_URL:
        try:
            return _hit(_shared(settings.REDIS_URL), limit, *key)
        except NO_ANSWER as error:
            log.warning("rate limit counts per process: no Redis", limit=key[0], error=repr(error))
    return _hit(_own, limit, *key)


def clear(limit: RateLimitItem, *key: str) -> None:
    """Forget the hits of `key`; those that Redis counted stay while it cannot be asked."""
    _own.clear(limit, *key)
    if settings.REDIS_URL:
        try:
            _shared(settings.REDIS_URL).clear(limit, *key)
        except NO_ANSWER as error:
            log.warning("rate limit not cleared: no Redis", limit=key[0], error=repr(error))


def forget() -> None:
    """Begin anew: no counts here or in Redis, and no connections."""
    _own.storage.reset()
    if settings.REDIS_URL:
        _shared(settings.REDIS_URL).storage.reset()
    _shared.cache_clear()


def _hit(limiter: FixedWindowRateLimiter, limit: RateLimitItem, *key: str) -> Window:
    allowed = limiter.hit(limit, *key)
    stats = limiter.get_window_stats(limit, *key)
    return Window(allowed, stats.remaining, max(1, math.ceil(stats.reset_time - time.time())))


@lru_cache(maxsize=4)
def _shared(redis_url: str) -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(RedisStorage(redis_url, **REDIS_OPTIONS))
