"""How often somebody may try to sign in to the admin, and what is written down of each try.

A try is counted before the password is hashed, by one atomic increment: parallel tries cannot pass together,
and a flood costs no processor time. Limits of growing length for one account make its pauses grow.
"""

import time
from functools import lru_cache

import redis.exceptions
import structlog
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser, User
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from limits import RateLimitItem, parse_many
from limits.strategies import FixedWindowRateLimiter

from config.shared.addresses import request_address
from config.shared.limit_storage import limit_storage

log = structlog.get_logger("support")

ADDRESS_LIMITS = parse_many("10/minute;60/hour;200/day")
ACCOUNT_LIMITS = parse_many("5/minute;15/15minutes;30/hour;100/day")
LONGEST_NAME = 150  # characters of a user name, as in Django's model


def refused_for(request: HttpRequest, username: str) -> int:
    """Count one try for the client's address and for the account; return the seconds to wait, 0 when it may.

    While Redis cannot be asked, each process counts for itself.
    """
    try:
        return _count(_limiter(settings.REDIS_URL), request, username)
    except (redis.exceptions.RedisError, OSError) as error:
        log.warning("sign-in attempts count per process: Redis does not answer", error=repr(error))
        return _count(_limiter(""), request, username)


def forgive(username: str) -> None:
    """Forget the account's tries after the right password; those of the address stay."""
    try:
        for limit in ACCOUNT_LIMITS:
            _limiter(settings.REDIS_URL).clear(limit, "sign-in-account", _account(username))
    except (redis.exceptions.RedisError, OSError) as error:
        log.warning("sign-in attempts not forgotten", error=repr(error))


def record(request: HttpRequest, user: User | AbstractBaseUser | None, what: str, *, refused: bool) -> None:
    """Log a sign-in, and write it into the history of the account, when there is one."""
    address = request_address(request)
    write = log.warning if refused else log.info
    write("sign-in refused" if refused else "signed in", user=str(user or ""), address=address, cause=what)
    if user is not None:
        LogEntry.objects.create(
            user_id=user.pk,
            content_type=ContentType.objects.get_for_model(User),
            object_id=str(user.pk),
            object_repr=str(user)[:200],
            action_flag=CHANGE,
            change_message=f"{what} ({address})",
        )


def _count(limiter: FixedWindowRateLimiter, request: HttpRequest, username: str) -> int:
    counted = [(limit, "sign-in-address", request_address(request)) for limit in ADDRESS_LIMITS]
    counted += [(limit, "sign-in-account", _account(username)) for limit in ACCOUNT_LIMITS]
    return max((_hit(limiter, *each) for each in counted), default=0)


def _hit(limiter: FixedWindowRateLimiter, limit: RateLimitItem, kind: str, key: str) -> int:
    """Seconds to wait; 0 when this one may."""
    if limiter.hit(limit, kind, key):
        return 0
    return max(1, round(limiter.get_window_stats(limit, kind, key).reset_time - time.time()))


def _account(username: str) -> str:
    return username.strip().casefold()[:LONGEST_NAME]


@lru_cache(maxsize=4)
def _limiter(url: str) -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(limit_storage(url))
