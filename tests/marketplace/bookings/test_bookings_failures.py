"""What fails on the way to a message is kept and tried again, and nothing is lost or doubled by it."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from marketplace.bookings import messages, reminders, rows, wording
from marketplace.models import RecordState
from tests.marketplace.bookings.salon import (
    IVAN,
    in_days,
    kinds,
    let_it_be_due,
    open_salon,
    receive,
    remind,
    the_record,
    work,
)

pytestmark = pytest.mark.django_db

MOSCOW = ZoneInfo("Europe/Moscow")


def test_a_reminder_that_fails_is_kept_with_its_error_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_salon(reminder_on=True)
    receive("create", 1)
    let_it_be_due()
    with monkeypatch.context() as broken:
        broken.setattr(wording, "text_of", _fail)
        assert remind() == []
    row = the_record()
    assert row.reminder_attempts == 1
    assert "Broken" in row.reminder_error
    assert IVAN not in row.reminder_error
    assert row.reminder_at is not None
    let_it_be_due()
    assert remind() == ["reminder"]
    assert the_record().reminder_error == ""


def test_a_reminder_that_fails_until_the_visit_begins_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    open_salon(reminder_on=True)
    receive("create", 1)
    RecordState.objects.update(reminder_at=timezone.now(), starts_at=timezone.now())
    monkeypatch.setattr(wording, "text_of", _fail)
    remind()
    assert the_record().reminder_at is None
    assert the_record().reminder_error


def test_why_there_was_no_reminder_is_still_shown_when_the_visit_has_begun() -> None:
    open_salon(reminder_on=True)
    receive("create", 1, start=timezone.now() - timedelta(minutes=1))
    RecordState.objects.update(
        reminder_at=timezone.now(), reminder_error="Broken", starts_at=timezone.now() + timedelta(minutes=1)
    )
    assert remind() == []
    row = the_record()
    assert (row.reminder_at, row.reminder_error) == (None, "Broken")


class Broken(Exception):
    """Something that nobody foresaw."""


def _fail(*_arguments: Any, **_more: Any) -> str:
    raise Broken(f"+{IVAN}")


def test_a_crash_between_any_two_steps_neither_loses_nor_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    open_salon(created_on=True, moved_on=True, reminder_on=True)
    receive("create", 1)
    for target, name in (
        (messages, "withdraw"),
        (messages, "queue"),
        (reminders, "follow"),
        (rows, "update"),
        (RecordState, "save"),
    ):
        with monkeypatch.context() as broken:
            broken.setattr(target, name, _fail)
            failed = receive("update", 2, start=in_days(5), comment=name)
            assert failed.state == "failed"
        assert kinds() == ["created"]
        assert the_record().starts_at == in_days(3)
    failed.refresh_from_db()
    type(failed).objects.update(next_attempt_at=timezone.now())
    work()
    assert kinds() == ["created"]
    assert the_record().starts_at == in_days(5)
