"""At most so many visits from the marketplace a minute, for one client address and for one YClients user.

Visits are heavy: each writes rows and may wait for a call to YClients, of which all salons share a few.
"""

from django.conf import settings
from django.http import HttpRequest
from limits import RateLimitItem, RateLimitItemPerMinute

from config.shared import rate_limits
from config.shared.addresses import request_address
from marketplace.salons.ownership import Visitor


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


def _count(limit: RateLimitItem, *key: str) -> None:
    window = rate_limits.hit(limit, *key)
    if not window.allowed:
        raise TooManyArrivals(window.resets_in)
