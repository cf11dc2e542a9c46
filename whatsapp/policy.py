"""When to try again, and what is forgotten with what: the rules that runner and reactions share."""

import random
from typing import Any

STABLE_AFTER = 60.0  # seconds of an unbroken line, after which earlier failures are forgotten
BACKOFF_FIRST, BACKOFF_MOST = 1.0, 300.0  # seconds
PAIRING_FAILURES_MOST = 5
UNLINK_ATTEMPTS_MOST = 6
BAN_OF_UNKNOWN_LENGTH = 24 * 3600.0  # seconds

NO_CODES: dict[str, Any] = {
    "qr": "",
    "qr_expires_at": None,
    "pairing_code": "",
    "pairing_code_expires_at": None,
}
NO_DEVICE: dict[str, Any] = {"jid": "", "lid": "", "phone": "", "push_name": "", **NO_CODES}


def backoff(attempts: int) -> float:
    """Seconds until the next attempt: exponential with full jitter, never under half a second."""
    ceiling = min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(attempts, 12))
    return max(0.5, random.uniform(0, ceiling))  # noqa: S311  (spreads load, is no secret)
