"""At most so many visits from the marketplace a minute, for one client address and for one YClients user.

Visits are heavy: each writes rows and may wait for a call to YClients, of which all salons share a few.
"""

import time
from functools import lru_cache

import redis.exceptions
import structlog
from django.conf import settings
from django.http import HttpRequest
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage, Storage
from limits.strategies import MovingWindowRateLimiter

from config.shared.addresses import request_address
from config.shared.limit_storage import limit_storage
from marketplace.salons.ownership import Visitor

log = structlog.get_logger("onboarding")

_own = MemoryStorage()


class TooManyArrivals(Exception):
    """This visit is one too many; `retry_after` is in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many visits, again in {retry_after} s")
        self.retry_after = retry_after


def count_address(request: HttpRequest) -> None:
    """Count a visit of this client address; raise TooManyArrivals beyond ARRIVALS_PER_MINUTE."""
    address = request_address(request)
    _count(RateLimitItemPerMinute(settings.ARRIVALS_PER_MINUTE), "arrival-address", address)


def count_user(visitor: Visitor) -> None:
    """Count a visit of this signed user; raise TooManyArrivals beyond half of ARRIVALS_PER_MINUTE."""
    if visitor.holder:
        most = max(1, settings.ARRIVALS_PER_MINUTE // 2)
        _count(RateLimitItemPerMinute(most), "arrival-user", visitor.holder)


def _count(limit: RateLimitItem, *who: str) -> None:
    """While Redis cannot be asked, each process counts for itself."""
    storages = [_redis(settings.REDIS_URL), _own] if settings.REDIS_URL else [_own]
    for storage in storages:
        limiter = MovingWindowRateLimiter(storage)
        try:
            if limiter.hit(limit, *who):
                return
            free_at = limiter.get_window_stats(limit, *who).reset_time
        except (redis.exceptions.RedisError, OSError) as error:
            log.warning("visits are counted per process: Redis does not answer", error=repr(error))
            continue
        raise TooManyArrivals(min(60, max(1, int(free_at - time.time()) + 1)))


@lru_cache(maxsize=4)
def _redis(url: str) -> Storage:
    return limit_storage(url)
