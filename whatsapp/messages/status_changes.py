"""Marks messages whose callback is due, and wakes the workers that send callbacks.

An outbound row with `callback_state` due has a status to report to whoever asked for it; an inbound row is
itself to be acted on.
"""

import time
from datetime import datetime, timedelta

from django.db.models import Case, F, Q, Value, When

from config.shared import hints
from config.shared.queue import Queue
from whatsapp.models import Message

CallbackState = Message.CallbackState
# Rows with a callback due, as a queue; whoever serves some of them narrows it by `where`.
MESSAGE_CALLBACKS = Queue(
    name="message_callbacks",
    model=Message,
    state="callback_state",
    fresh=CallbackState.DUE,
    dead=CallbackState.DEAD,
    due_at="callback_next_at",
    attempts="callback_attempts",
    error="callback_error",
    defer=("callback_url",),  # encrypted, and only those who post to it need it
    lease=timedelta(seconds=60),
)
# Each NOTIFY costs a lock at its commit; what is not hinted at is found by the workers' poll.
MIN_BETWEEN_HINTS = 0.2  # seconds
_hinted_at = 0.0


def callback_due(now: datetime) -> dict[str, Case]:
    """The columns to set beside a new status. What waits for a repeat, or was given up, is left as it is."""
    reported = Q(callback_state=CallbackState.DONE)
    return {
        "callback_state": Case(
            When(reported, then=Value(CallbackState.DUE.value)), default=F("callback_state")
        ),
        "callback_next_at": Case(When(reported, then=Value(now)), default=F("callback_next_at")),
    }


def wake_workers_soon() -> None:
    """Wake the workers for a due callback, a few times a second at most in one process."""
    global _hinted_at
    if time.monotonic() - _hinted_at >= MIN_BETWEEN_HINTS:
        _hinted_at = time.monotonic()
        hints.wake_workers()
