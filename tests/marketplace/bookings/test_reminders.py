"""Reminders: when they are due, and that they follow the booking."""

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from marketplace.bookings import quiet_hours, reminders
from marketplace.bookings.quiet_hours import QuietHours
from marketplace.bookings.reminders import due_at
from marketplace.inbound import opt_outs
from marketplace.models import BookingSettings, Company, RecordState
from tests.marketplace.bookings.salon import (
    IVAN,
    in_days,
    kinds,
    let_it_be_due,
    open_salon,
    receive,
    remind,
    send_all,
    the_record,
)
from whatsapp.models import Message

pytestmark = pytest.mark.django_db

MOSCOW = ZoneInfo("Europe/Moscow")
NIGHT = QuietHours(time(21), time(9))


@pytest.mark.parametrize(
    ("visit", "hours", "due"),
    [
        ("2025-07-13 12:10", 24, "2025-07-12 12:10"),
        ("2025-07-13 12:10", 2, "2025-07-13 10:10"),
        ("2025-07-13 08:00", 24, "2025-07-12 09:00"),
        ("2025-07-13 10:00", 2, "2025-07-12 21:00"),
        ("2025-07-13 11:00", 2, "2025-07-13 09:00"),
        ("2025-07-13 11:30", 3, "2025-07-13 09:00"),
        ("2025-07-13 23:30", 24, "2025-07-13 09:00"),
        ("2025-07-13 01:00", 3, "2025-07-12 21:00"),
        ("2025-07-13 08:30", 10, "2025-07-12 21:00"),
        ("2025-07-13 07:00", 1, "2025-07-12 21:00"),
        ("2025-07-13 21:00", 24, "2025-07-12 21:00"),
    ],
)
def test_nobody_is_reminded_at_night(visit: str, hours: int, due: str) -> None:
    starts_at = datetime.fromisoformat(visit).replace(tzinfo=MOSCOW)
    found = due_at(starts_at=starts_at, hours=hours, clock=MOSCOW, quiet=NIGHT)
    assert found == datetime.fromisoformat(due).replace(tzinfo=MOSCOW)


def test_every_reminder_is_by_day_and_before_the_visit() -> None:
    start = datetime(2025, 3, 28, tzinfo=MOSCOW)
    clock = ZoneInfo("Europe/Berlin")  # changes to summer time in these days
    for hours in (1, 2, 5, 12, 24, 48, 168):
        for quarter in range(4 * 24 * 3):
            visit = start + timedelta(minutes=15 * quarter)
            due = due_at(starts_at=visit, hours=hours, clock=clock, quiet=NIGHT)
            assert due < visit
            assert 9 <= due.hour < 21 or (due.hour, due.minute) == (21, 0)


def test_a_reminder_is_queued_when_it_is_due_and_only_once() -> None:
    open_salon(reminder_on=True)
    receive("create", 1)
    assert the_record().reminder_at == in_days(2)
    assert remind() == []
    let_it_be_due()
    assert remind() == ["reminder"]
    message = Message.objects.get()
    assert message.source == "reminder"
    assert "Напоминаем о визите" in message.text
    assert message.expires_at is not None
    assert message.expires_at - timezone.now() < timedelta(hours=3, minutes=1)
    assert remind() == ["reminder"]
    receive("update", 2, attendance=2)
    let_it_be_due()
    assert remind() == ["reminder"]


def test_a_reminder_of_an_old_booking_is_planned_as_well() -> None:
    open_salon(reminder_on=True)
    receive("update", 1)
    assert the_record().reminder_at == in_days(2)


def test_a_reminder_moves_with_the_visit() -> None:
    open_salon(reminder_on=True)
    receive("create", 1)
    receive("update", 2, start=in_days(5))
    assert the_record().reminder_at == in_days(4)


def test_a_queued_reminder_of_a_moved_visit_is_withdrawn_and_planned_anew() -> None:
    open_salon(reminder_on=True)
    receive("create", 1)
    let_it_be_due()
    remind()
    receive("update", 2, start=in_days(5))
    assert kinds() == []
    assert the_record().reminder_at == in_days(4)
    receive("update", 3)
    let_it_be_due()
    assert remind() == ["reminder"]


def test_a_visit_that_moves_after_its_reminder_is_reminded_of_again() -> None:
    open_salon(reminder_on=True)
    receive("create", 1)
    let_it_be_due()
    remind()
    send_all()
    receive("update", 2, start=in_days(5))
    let_it_be_due()
    assert remind() == ["reminder"]


def test_a_visit_that_moves_away_and_back_is_reminded_of_once() -> None:
    open_salon(reminder_on=True)
    receive("create", 1)
    let_it_be_due()
    remind()
    send_all()
    receive("update", 2, start=in_days(5))
    receive("update", 3)
    assert the_record().reminder_at is None


@pytest.mark.parametrize(
    "change",
    [{"deleted": True}, {"client": None}, {"attendance": 1}, {"attendance": -1}, {"start": in_days(-1)}],
)
def test_there_is_no_reminder_of_a_visit_that_is_off(change: dict[str, Any]) -> None:
    open_salon(reminder_on=True)
    receive("create", 1)
    let_it_be_due()
    remind()
    receive("update", 2, **change)
    assert the_record().reminder_at is None
    assert kinds() == []


def test_who_books_shortly_before_is_not_reminded() -> None:
    open_salon(reminder_on=True)
    receive("create", 1, start=timezone.now() + timedelta(hours=12))
    assert the_record().reminder_at is None


def test_a_reminder_that_is_three_hours_late_is_kept_as_too_late() -> None:
    open_salon(reminder_on=True)
    receive("create", 1)
    RecordState.objects.update(reminder_at=timezone.now() - timedelta(hours=4))
    remind()
    expires_at = Message.objects.get().expires_at
    assert expires_at is not None
    assert expires_at < timezone.now()


def test_a_reminder_never_outlives_the_beginning_of_the_visit() -> None:
    open_salon(reminder_on=True, reminder_hours=1)
    start = in_days(3)
    receive("create", 1, start=start)
    RecordState.objects.update(reminder_at=timezone.now())
    soon = (timezone.now() + timedelta(minutes=40)).replace(microsecond=0)
    row = the_record()
    row.seen["start"][0] = soon.isoformat()
    row.save()
    remind()
    assert Message.objects.get().expires_at == soon


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """By Moscow's clock it is two hours into the quiet hours; returns their end."""
    now = timezone.now().astimezone(MOSCOW)
    ends = (now + timedelta(hours=1)).replace(second=0, microsecond=0)
    begins = (now - timedelta(hours=2)).time()
    monkeypatch.setattr(quiet_hours, "DEFAULT", QuietHours(begins, ends.time()))
    return ends


def test_what_became_due_during_an_outage_is_not_sent_at_night(night: datetime) -> None:
    open_salon(reminder_on=True)
    receive("create", 1)
    RecordState.objects.update(reminder_at=timezone.now() - timedelta(hours=2, minutes=50))
    assert remind() == []
    assert the_record().reminder_at == night
    assert remind() == []


def test_what_waited_for_the_morning_is_sent_then(night: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    open_salon(reminder_on=True)
    receive("create", 1)
    let_it_be_due()
    remind()
    over = timezone.now().astimezone(MOSCOW).time()
    monkeypatch.setattr(quiet_hours, "DEFAULT", QuietHours(quiet_hours.DEFAULT.begins, over))
    let_it_be_due()
    assert remind() == ["reminder"]
    expires_at = Message.objects.get().expires_at
    assert expires_at is not None
    assert expires_at > timezone.now()


def test_a_reminder_that_is_still_queued_in_the_evening_does_not_go_out_at_night(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evening = (timezone.now() + timedelta(minutes=30)).astimezone(MOSCOW)
    begins = (evening - quiet_hours.GRACE).time()
    night = QuietHours(begins, (evening + timedelta(hours=9)).time())
    monkeypatch.setattr(quiet_hours, "DEFAULT", night)
    open_salon(reminder_on=True)
    receive("create", 1)
    let_it_be_due()
    assert remind() == ["reminder"]
    assert Message.objects.get().expires_at == evening


def test_a_visit_has_as_many_reminders_as_the_salon_wants() -> None:
    open_salon(reminder_on=True, reminder_hours=24, more_reminder_hours=[2])
    receive("create", 1)
    starts_at = the_record().starts_at
    assert starts_at is not None
    assert the_record().reminder_at == starts_at - timedelta(hours=24)
    let_it_be_due()
    assert remind() == ["reminder"]
    assert the_record().reminder_at == starts_at - timedelta(hours=2)
    send_all()
    let_it_be_due()
    assert remind() == ["reminder"]
    assert the_record().reminder_at is None


def test_a_salon_has_quiet_hours_of_its_own() -> None:
    company = open_salon(reminder_on=True)
    settings = BookingSettings.objects.get(company=company)
    assert quiet_hours.quiet_hours_of(settings) == quiet_hours.DEFAULT
    settings.quiet_from, settings.quiet_until = time(20), time(10, 30)
    own = quiet_hours.quiet_hours_of(settings)
    visit = datetime(2025, 7, 13, 21, 0, tzinfo=MOSCOW)
    due = due_at(starts_at=visit, hours=24, clock=MOSCOW, quiet=own)
    assert due == datetime(2025, 7, 13, 10, 30, tzinfo=MOSCOW)


def test_who_opted_out_or_whose_salon_is_frozen_is_not_reminded() -> None:
    company = open_salon(reminder_on=True)
    receive("create", 1)
    opt_outs.opt_out(company_ids=[company.pk], phone=IVAN)
    let_it_be_due()
    assert remind() == []
    opt_outs.opt_in(company_ids=[company.pk], phone=IVAN)
    receive("update", 2, start=in_days(5))
    Company.objects.update(status="frozen")
    let_it_be_due()
    assert remind() == []
    assert the_record().reminder_at == in_days(4)  # its time, which was moved to now, is still to come


def test_new_settings_plan_all_reminders_anew() -> None:
    company = open_salon(reminder_on=False)
    receive("create", 1)
    assert the_record().reminder_at is None
    BookingSettings.objects.update(reminder_on=True, reminder_hours=48)
    assert reminders.plan_all(company=company) == 1
    assert the_record().reminder_at == in_days(1)
    BookingSettings.objects.update(reminder_on=False)
    assert reminders.plan_all(company=company) == 0
    assert the_record().reminder_at is None


def test_a_reminder_that_was_queued_is_not_planned_again_by_new_settings() -> None:
    company = open_salon(reminder_on=True)
    receive("create", 1)
    let_it_be_due()
    remind()
    BookingSettings.objects.update(reminder_hours=2)
    assert reminders.plan_all(company=company) == 0
