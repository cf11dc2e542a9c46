"""How fast a session sends: by its number's age, its own settings, and the salon's clock."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsapp.engine.events import Receipt
from whatsapp.messages import early_receipts
from whatsapp.messages.early_receipts import EarlyReceipts
from whatsapp.messages.limits import Limits, limits_of, opens_at
from whatsapp.messages.pacing import TokenBucket
from whatsapp.models import SendingLimits, Session

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def limits(row: SendingLimits | None = None, *, age: timedelta = timedelta(days=30)) -> Limits:
    return limits_of(session=Session(paired_at=NOW - age), row=row, now=NOW)


def test_a_number_that_was_just_linked_is_spared_and_gets_faster_with_its_age() -> None:
    gaps = [limits(age=timedelta(days=days)).gap for days in (0, 2, 5, 30)]
    caps = [limits(age=timedelta(days=days)).cap for days in (0, 2, 5)]
    assert gaps == sorted(gaps, reverse=True)
    assert caps == sorted(caps)
    assert len(set(gaps)) == len(gaps)


def test_what_support_staff_set_comes_first() -> None:
    own = limits(SendingLimits(gap_seconds=1.5, burst=9, daily_cap=7), age=timedelta())
    assert (own.gap, own.burst, own.cap) == (1.5, 9, 7)


def test_pacing_can_be_switched_off_for_one_session_and_for_all(settings: object) -> None:
    assert limits(SendingLimits(paced=False)).gap == 0
    settings.SENDING_PACED = False  # type: ignore[attr-defined]
    assert (limits(age=timedelta()).gap, limits(age=timedelta()).cap) == (0, 0)


def test_an_unknown_time_zone_counts_as_moscows() -> None:
    assert limits(SendingLimits(timezone_name="Mars/Olympus")).zone == ZoneInfo("Europe/Moscow")


@pytest.mark.parametrize(
    ("zone", "opens"),
    [
        ("Europe/Moscow", None),  # 15:00
        ("Asia/Kamchatka", datetime(2026, 3, 10, 21, tzinfo=UTC)),  # midnight: nine in the morning
        ("America/New_York", datetime(2026, 3, 10, 13, tzinfo=UTC)),  # 08:00
    ],
)
def test_advertising_keeps_to_the_salons_daytime(zone: str, opens: datetime | None) -> None:
    assert limits(SendingLimits(timezone_name=zone)).adds_wait_until(NOW) == opens


def test_a_window_of_no_length_is_the_whole_day() -> None:
    whole = limits(SendingLimits(adds_from=time(0), adds_until=time(0), timezone_name="Asia/Kamchatka"))
    assert whole.adds_wait_until(NOW) is None


@pytest.mark.parametrize(
    ("hour", "opens"), [(19, 20), (20, None), (23, None), (0, None), (1, None), (2, 20), (12, 20)]
)
def test_a_window_over_midnight_is_open_on_both_sides_of_it(hour: int, opens: int | None) -> None:
    late = limits(SendingLimits(adds_from=time(20), adds_until=time(2), timezone_name="UTC"))
    expected = None if opens is None else NOW.replace(hour=opens)
    assert late.adds_wait_until(NOW.replace(hour=hour)) == expected


@given(
    minute=st.integers(0, 24 * 60 - 1),
    opens=st.times(),
    closes=st.times(),
)
def test_a_closed_window_opens_within_a_day_and_is_open_then(minute: int, opens: time, closes: time) -> None:
    now = NOW.replace(hour=0) + timedelta(minutes=minute)
    at = opens_at(now, zone=ZoneInfo("Europe/Moscow"), opens=opens, closes=closes)
    if at is not None:
        assert now < at <= now + timedelta(days=1)
        assert opens_at(at, zone=ZoneInfo("Europe/Moscow"), opens=opens, closes=closes) is None


@given(
    gap=st.floats(0.5, 30),
    burst=st.integers(1, 5),
    jitter=st.floats(0, 0.6),
    messages=st.integers(2, 40),
)
def test_a_bucket_lets_a_burst_through_and_then_keeps_the_pace(
    gap: float, burst: int, jitter: float, messages: int
) -> None:
    bucket, now, sent_at = TokenBucket(tokens=burst, now=0.0), 0.0, []
    for _ in range(messages):
        now += bucket.ready_in(now=now, gap=gap, burst=burst)
        assert bucket.ready_in(now=now, gap=gap, burst=burst) < 1e-6
        bucket.take(jitter=jitter)
        sent_at.append(now)
    assert sent_at[: min(burst, messages)] == [0.0] * min(burst, messages)
    paced = max(0, messages - burst)
    assert sent_at[-1] <= paced * gap * (1 + jitter) + 1e-6
    assert sent_at[-1] >= paced * gap * (1 - jitter) - 1e-6


def test_early_receipts_are_few_and_each_is_used_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_receipts, "EARLY_RECEIPTS_MOST", 100)
    early = EarlyReceipts()
    for number in range(105):
        early.add(Receipt("s", [str(number)], "delivered", 0.0))
    assert early.pop("4") == []
    (kept,) = early.pop("5")
    assert kept.message_ids == ["5"]
    assert early.pop("5") == []
