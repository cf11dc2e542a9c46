"""What clients are told of their bookings, from the webhook to the queue of messages."""

from typing import Any

import pytest

from marketplace.models import BookingSettings, InboundWebhook, MessageTemplate
from tests.marketplace.bookings.salon import (
    BORIS,
    EVERYTHING,
    IVAN,
    RECORD,
    in_days,
    kinds,
    open_salon,
    receive,
    record_body,
    send_all,
    the_record,
    waiting,
    work,
)
from tests.marketplace.salons_data import MOSCOW, make_active
from tests.marketplace.webhook_posts import store
from whatsapp.models import Message

pytestmark = pytest.mark.django_db


def test_a_new_booking_is_told_in_the_salons_words_and_time() -> None:
    open_salon()
    receive("create", 1)
    [(kind, phone, text)] = waiting()
    assert (kind, phone) == ("created", IVAN)
    assert "Здравствуйте, Иван!" in text
    assert "«Лотос»" in text
    assert ", 12:10." in text
    assert "Услуги: Haircut\nМастер: Анна\nАдрес: Тверская, 1\nТелефон: +7 495 123-45-67" in text
    message = Message.objects.get()
    assert (message.source, message.external_id) == ("booking", f"{MOSCOW}:{RECORD}:1:created")
    assert message.expires_at is not None


def test_intake_stores_a_booking_and_leaves_the_rest_to_the_worker() -> None:
    open_salon()
    store(record_body("create", 1))
    assert InboundWebhook.objects.get().state == "received"
    assert waiting() == []
    work()
    assert InboundWebhook.objects.get().state == "applied"
    assert kinds() == ["created"]


def test_without_settings_nothing_is_said_but_the_state_is_kept() -> None:
    make_active(timezone_name="Europe/Moscow")
    receive("create", 1)
    receive("update", 2, start=in_days(4))
    assert waiting() == []
    assert the_record().starts_at == in_days(4)


def test_what_is_switched_on_later_speaks_of_what_changes_then() -> None:
    company = open_salon(created_on=False)
    receive("create", 1)
    BookingSettings.objects.filter(company=company).update(**EVERYTHING)
    receive("update", 2, attendance=2)
    assert kinds() == []
    receive("update", 3, start=in_days(4))
    assert kinds() == ["moved"]


@pytest.mark.parametrize(
    "change", [{"start": in_days(5)}, {"staff": BORIS}, {"services": [{"id": 7, "title": "Укладка"}]}]
)
def test_another_time_another_master_or_other_services_are_told(change: dict[str, Any]) -> None:
    open_salon()
    receive("create", 1)
    send_all()
    receive("update", 2, **change)
    assert kinds() == ["moved"]


@pytest.mark.parametrize("attendance", [2, 1, 0, -1])
def test_attendance_alone_says_nothing(attendance: int) -> None:
    open_salon()
    receive("create", 1)
    send_all()
    receive("update", 2, attendance=attendance, comment="?", services=[{"id": 5034676, "title": "Стрижка"}])
    assert waiting() == []


@pytest.mark.parametrize(("status", "data"), [("delete", {}), ("update", {"deleted": True})])
def test_both_forms_of_a_cancellation_are_told_once(status: str, data: dict[str, Any]) -> None:
    open_salon()
    receive("create", 1)
    send_all()
    receive(status, 2, **data)
    receive("delete", 3)
    [(kind, _phone, text)] = waiting()
    assert kind == "cancelled"
    assert "отменена" in text


def test_a_cancellation_speaks_of_the_time_that_the_client_knows() -> None:
    open_salon()
    receive("create", 1)
    send_all()
    receive("update", 2, start=in_days(5, hour=17))
    receive("delete", 3, start=in_days(5, hour=17))
    [(kind, _phone, text)] = waiting()
    assert kind == "cancelled"
    assert "12:10" in text


def test_a_restored_booking_is_new_to_who_was_told_of_the_cancellation() -> None:
    open_salon()
    receive("create", 1)
    send_all()
    receive("delete", 2)
    send_all()
    receive("update", 3, deleted=False)
    assert kinds() == ["created"]


def test_a_visit_that_has_begun_is_not_spoken_of() -> None:
    open_salon()
    receive("create", 1, start=in_days(-1))
    receive("update", 2, start=in_days(-1, hour=14))
    receive("delete", 3)
    assert Message.objects.count() == 0


def test_english_salons_write_english() -> None:
    open_salon(**EVERYTHING, language="en")
    receive("create", 1)
    [(_kind, _phone, text)] = waiting()
    assert "You are booked at Лотос: " in text


def test_words_that_can_no_longer_be_filled_in_give_way_to_ours() -> None:
    company = open_salon()
    MessageTemplate.objects.create(company=company, kind="created", text="{gone}")
    receive("create", 1)
    [(_kind, _phone, text)] = waiting()
    assert "Вы записаны в «Лотос»" in text
