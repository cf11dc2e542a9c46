"""At most so many requests a minute for one key, over all our processes, with the standard headers."""

import math
import time
from functools import lru_cache

import structlog
from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from config.shared.limit_storage import limit_storage
from marketplace.api.authentication import ApiClient

log = structlog.get_logger("api")


class KeyThrottle(BaseThrottle):
    """Counts each request of a key; leaves the state of its window on the request for the headers."""

    def __init__(self) -> None:
        self._wait: float | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.user, ApiClient):
            return True  # refused by the permission anyway
        item = RateLimitItemPerMinute(settings.API_REQUESTS_PER_MINUTE)
        key = request.user.key.prefix
        limiter = _limiter(settings.REDIS_URL)
        try:
            allowed = limiter.hit(item, "api", key)
            resets_at, remaining = limiter.get_window_stats(item, "api", key)
        except Exception as error:  # noqa: BLE001  any storage's any fault: an API that is up beats a count
            log.warning("API requests not counted", error=repr(error))
            return True
        seconds = max(0, math.ceil(resets_at - time.time()))
        self._wait = float(max(1, seconds))
        request._request.rate_limit = (item.amount, remaining, seconds)  # type: ignore[attr-defined]
        return allowed

    def wait(self) -> float | None:
        return self._wait


def add_rate_limit_headers(request: Request, response: Response) -> None:
    """`RateLimit-*` as the IETF draft "RateLimit header fields for HTTP" names them; seconds until reset."""
    state = getattr(request._request, "rate_limit", None)
    if state:
        limit, remaining, seconds = state
        response["RateLimit-Limit"] = str(limit)
        response["RateLimit-Remaining"] = str(remaining)
        response["RateLimit-Reset"] = str(seconds)


@lru_cache(maxsize=4)
def _limiter(redis_url: str) -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(limit_storage(redis_url))
