"""The sandbox's wall clock: real time that a test may move forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

# YCLIENTS writes marketplace times without an offset; its own servers live in Moscow.
MOSCOW = timezone(timedelta(hours=3))


class Clock:
    """Time that can be moved forward, so that "expires after 12 hours" is testable in a moment."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """The current moment, timezone-aware, UTC."""
        return datetime.now(UTC) + self._offset

    def advance(self, *, seconds: float) -> None:
        """Move forward by `seconds`; raises ValueError when negative."""
        if seconds < 0:
            raise ValueError("The clock only moves forward.")
        self._offset += timedelta(seconds=seconds)


def stamp(moment: datetime) -> str:
    """`YYYY-MM-DD HH:MM:SS` in Moscow time, as marketplace answers show it."""
    return moment.astimezone(MOSCOW).strftime("%Y-%m-%d %H:%M:%S")
