"""At most so many live-channel connections a minute for one client address, over all our processes."""

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

import redis.exceptions
import structlog
from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter

from config.shared.rate_limits import REDIS_OPTIONS

log = structlog.get_logger("onboarding")


# Connections to Redis belong to the event loop that made them.
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, MovingWindowRateLimiter] = WeakKeyDictionary()
_own: WeakKeyDictionary[asyncio.AbstractEventLoop, MovingWindowRateLimiter] = WeakKeyDictionary()


async def may_connect(address: str) -> bool:
    """Count one attempt of `address`; False when it has had WS_CONNECTS_PER_MINUTE in the last 60 s.

    While Redis cannot be asked, each process counts for itself.
    """
    limit = RateLimitItemPerMinute(settings.WS_CONNECTS_PER_MINUTE)
    if settings.REDIS_URL:
        try:
            return await _limiter(_shared, _redis_storage).hit(limit, "ws-connect", address)
        except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
            log.warning("connection limit counts per process: Redis does not answer", error=repr(error))
    return await _limiter(_own, MemoryStorage).hit(limit, "ws-connect", address)


def _limiter(
    kept: WeakKeyDictionary[asyncio.AbstractEventLoop, MovingWindowRateLimiter],
    make_storage: Callable[[], Storage],
) -> MovingWindowRateLimiter:
    loop = asyncio.get_running_loop()
    if loop not in kept:
        kept[loop] = MovingWindowRateLimiter(make_storage())
    return kept[loop]


def _redis_storage() -> Storage:
    # `redispy`: the default implementation is another client library, which we do not have.
    return RedisStorage(f"async+{settings.REDIS_URL}", implementation="redispy", **REDIS_OPTIONS)


def forget() -> None:
    """Drop connections and own counters, as a new process would begin."""
    _shared.clear()
    _own.clear()
