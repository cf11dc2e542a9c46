"""Tests of bookings run at any time of the day: only those about quiet hours have any."""

from datetime import time

import pytest


@pytest.fixture(autouse=True)
def no_quiet_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    from marketplace.bookings import reminder_sending

    monkeypatch.setattr(reminder_sending, "QUIET_FROM", time(0))
    monkeypatch.setattr(reminder_sending, "QUIET_UNTIL", time(0))
