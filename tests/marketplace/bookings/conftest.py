"""Tests of bookings run at any time of the day: only those about quiet hours have any."""

from datetime import time

import pytest


@pytest.fixture(autouse=True)
def no_quiet_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    from marketplace.bookings import quiet_hours

    monkeypatch.setattr(quiet_hours, "DEFAULT", quiet_hours.QuietHours(time(0), time(0)))
