"""At most so many requests a minute for one key, over all our processes, with the standard headers."""

from django.conf import settings
from limits import RateLimitItemPerMinute
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from config.shared import rate_limits
from marketplace.api.authentication import ApiClient


class KeyThrottle(BaseThrottle):
    """Counts each request of a key; leaves the state of its window on the request for the headers."""

    def __init__(self) -> None:
        self._wait: float | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.user, ApiClient):
            return True  # refused by the permission anyway
        item = RateLimitItemPerMinute(settings.API_REQUESTS_PER_MINUTE)
        window = rate_limits.hit(item, "api", request.user.key.prefix)
        self._wait = float(window.resets_in)
        request._request.rate_limit = (item.amount, window.remaining, window.resets_in)  # type: ignore[attr-defined]
        return window.allowed

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
