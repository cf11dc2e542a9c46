"""When to try again, how fast to send, and what is forgotten with what: numbers and their reasons."""

from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any

from config.shared import backoff as pauses

STABLE_AFTER = 60.0  # seconds of an unbroken line, after which earlier failures are forgotten
# Lines that broke before they were stable, in a row. So often the library may come back by itself at once;
# after that every new connection waits as after a failure.
QUICK_RETURNS_MOST = 3
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
NO_DEVICE: dict[str, Any] = {
    "jid": "",
    "lid": "",
    "phone": "",
    "push_name": "",
    "stable_at": None,
    **NO_CODES,
}


def backoff(attempts: int) -> float:
    """Seconds until a session that failed so many times in a row is tried again."""
    return pauses.backoff(attempts, first=BACKOFF_FIRST, longest=BACKOFF_MOST)


# --- sending ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pace:
    """How a number of some age sends: mean seconds between messages, how many may follow at once after a
    quiet time, and how many a day (0: any number)."""

    gap: float
    burst: int
    daily_cap: int


# WhatsApp bans numbers that write to many people soon after they were linked; it publishes no limits. A
# salon's clients know it and expect these texts, so the gaps are those of a person who types and pastes, and
# the cap of the first days is what holds a mailing back. Settled, a day's 2,000 take under two hours.
PACE_BY_AGE: tuple[tuple[timedelta, Pace], ...] = (
    (timedelta(days=1), Pace(gap=6.0, burst=3, daily_cap=200)),
    (timedelta(days=3), Pace(gap=5.0, burst=3, daily_cap=500)),
    (timedelta(days=7), Pace(gap=4.0, burst=4, daily_cap=1000)),
)
SETTLED_PACE = Pace(gap=3.0, burst=6, daily_cap=0)
JITTER = 0.4  # pauses vary by up to 40 percent either way: even gaps look like a machine

TIMEZONE = "Europe/Moscow"  # of a session whose salon's is not known
ADDS_FROM, ADDS_UNTIL = time(9), time(21)  # advertising, by the salon's clock

NUMBER_GOOD_FOR = timedelta(days=1)
CHECK_BATCH = 50  # numbers in one question
CHECK_GAP = 5.0  # seconds between two questions of a paced session
CHECK_FAILURES_MOST = 3  # after that a message goes out unchecked: the question must not hold up the answer

SEND_FAILURES_MOST = 5  # refusals of one message before it fails
SEND_BACKOFF_FIRST, SEND_BACKOFF_MOST = (
    2.0,
    60.0,
)  # seconds; the session's later messages wait too, which keeps their order
# The library gives up after 75 s at the latest; an engine that is silent for longer is restarted.
ANSWER_WAIT = 100.0
FILE_WAIT = 15.0  # seconds for reading a message's file before it is sent
EARLY_RECEIPTS_KEPT = 60.0  # seconds
EARLY_RECEIPTS_MOST = 20_000  # of all sessions of a pool
HOLD_RECHECK = 60.0  # seconds until a session held back by cap or night looks at its limits again


def pace_of(age: timedelta | None) -> Pace:
    """The pace of a number that was linked `age` ago; not known counts as new."""
    if age is None:
        return PACE_BY_AGE[0][1]
    return next((pace for limit, pace in PACE_BY_AGE if age < limit), SETTLED_PACE)


def send_backoff(failures: int) -> float:
    """Seconds until a session tries to send again after so many refusals in a row."""
    return pauses.backoff(failures, first=SEND_BACKOFF_FIRST, longest=SEND_BACKOFF_MOST)
