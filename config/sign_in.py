"""How often somebody may try to sign in to the admin, and what is written down of each try.

A try is counted before the password is hashed, by one atomic increment: parallel tries cannot pass together,
and a flood costs no processor time. Limits of growing length for one account make its pauses grow.
"""

import structlog
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser, User
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from limits import parse_many

from config.shared import rate_limits
from config.shared.addresses import request_address

log = structlog.get_logger("support")

ADDRESS_LIMITS = parse_many("10/minute;60/hour;200/day")
ACCOUNT_LIMITS = parse_many("5/minute;15/15minutes;30/hour;100/day")
LONGEST_NAME = 150  # characters of a user name, as in Django's model


def refused_for(request: HttpRequest, username: str) -> int:
    """Count one try of this client address and account; return the seconds to wait, 0 when it may.

    A try that the address may not make does not count against the account.
    """
    counted = [(limit, "sign-in-address", request_address(request)) for limit in ADDRESS_LIMITS]
    counted += [(limit, "sign-in-account", _account(username)) for limit in ACCOUNT_LIMITS]
    for limit, kind, key in counted:
        window = rate_limits.hit(limit, kind, key)
        if not window.allowed:
            return window.resets_in
    return 0


def forgive(username: str) -> None:
    """Forget the account's tries after the right password; those of the address stay."""
    for limit in ACCOUNT_LIMITS:
        rate_limits.clear(limit, "sign-in-account", _account(username))


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


def _account(username: str) -> str:
    return username.strip().casefold()[:LONGEST_NAME]
