"""Which messages have something to tell.

An outbound row with `callback_state` due has a status to tell to who asked for it; an inbound one itself, to
whoever acts on what clients write. Every change of a status sets it; who has told it calls `mark_told`.
"""

import time
from datetime import datetime

from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from config.shared import hints
from whatsapp.models import Message

CallbackState = Message.CallbackState
# Each NOTIFY costs a lock at its commit; what is not hinted at is found by the workers' poll.
MIN_BETWEEN_HINTS = 0.2  # seconds
_hinted_at = 0.0


def to_be_told(now: datetime) -> dict[str, Case]:
    """The columns to set beside a new status. What waits for a repeat, or was given up, is left as it is."""
    told = Q(callback_state=CallbackState.DONE)
    return {
        "callback_state": Case(When(told, then=Value(CallbackState.DUE.value)), default=F("callback_state")),
        "callback_next_at": Case(When(told, then=Value(now)), default=F("callback_next_at")),
    }


def mark_told(*, message: Message, reported: int) -> bool:
    """Note that the status with which `message` was read has been told; `reported` are the new flags.

    False when the status went on meanwhile: the flags are kept and the row stays due.
    """
    row = Message.objects.filter(pk=message.pk, callback_state=CallbackState.DUE)
    flags = {"reported": reported, "callback_attempts": 0, "callback_error": ""}
    if row.filter(status=message.status).update(callback_state=CallbackState.DONE, **flags):
        return True
    row.update(callback_next_at=timezone.now(), **flags)
    return False


def wake_soon() -> None:
    """Hint to the workers that something is to be told, a few times a second at most in one process."""
    global _hinted_at
    if time.monotonic() - _hinted_at >= MIN_BETWEEN_HINTS:
        _hinted_at = time.monotonic()
        hints.wake_workers()
