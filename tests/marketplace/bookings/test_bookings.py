"""What clients are told of their bookings, from the webhook to the queue of messages."""

from typing import Any

import pytest

from marketplace import lifecycle, opt_outs
from marketplace.models import BookingSettings, Company, InboundWebhook, RecordState
from tests.marketplace.bookings.salon import (
    BORIS,
    EVERYTHING,
    IVAN,
    OLGA,
    RECORD,
    hear,
    in_days,
    kinds,
    open_salon,
    record_body,
    send_all,
    the_record,
    waiting,
    work,
)
from tests.marketplace.cast import MOSCOW, make_active
from tests.marketplace.doors import MOSCOW_DOOR, post
from whatsapp.models import Message, Session

pytestmark = pytest.mark.django_db

OLGAS = {"id": 2, "name": "Ольга", "phone": f"+{OLGA}"}
NO_PHONE: Any = {"id": 1, "name": "Иван", "phone": ""}


def test_a_new_booking_is_told_in_the_salons_words_and_time() -> None:
    open_salon()
    hear("create", 1)
    [(kind, phone, text)] = waiting()
    assert (kind, phone) == ("created", IVAN)
    assert "Здравствуйте, Иван!" in text
    assert "«Лотос»" in text
    assert ", 12:10." in text
    assert "Услуги: Haircut\nМастер: Анна\nАдрес: Тверская, 1\nТелефон: +7 495 123-45-67" in text
    message = Message.objects.get()
    assert (message.source, message.external_id) == ("booking", f"{MOSCOW}:{RECORD}:1:created")
    assert message.expires_at is not None


def test_the_door_keeps_a_booking_and_leaves_the_rest_to_the_worker() -> None:
    open_salon()
    assert post(record_body("create", 1), MOSCOW_DOOR).json()["status"] == "kept"
    assert InboundWebhook.objects.get().state == "received"
    assert waiting() == []
    work()
    assert InboundWebhook.objects.get().state == "applied"
    assert kinds() == ["created"]


def test_without_settings_nothing_is_said_but_the_state_is_kept() -> None:
    make_active(timezone_name="Europe/Moscow")
    hear("create", 1)
    hear("update", 2, start=in_days(4))
    assert waiting() == []
    assert the_record().starts_at == in_days(4)


def test_what_is_switched_on_later_speaks_of_what_changes_then() -> None:
    company = open_salon(created_on=False)
    hear("create", 1)
    BookingSettings.objects.filter(company=company).update(**EVERYTHING)
    hear("update", 2, attendance=2)
    assert kinds() == []
    hear("update", 3, start=in_days(4))
    assert kinds() == ["moved"]


@pytest.mark.parametrize(
    "change", [{"start": in_days(5)}, {"staff": BORIS}, {"services": [{"id": 7, "title": "Укладка"}]}]
)
def test_another_time_another_master_or_other_services_are_told(change: dict[str, Any]) -> None:
    open_salon()
    hear("create", 1)
    send_all()
    hear("update", 2, **change)
    assert kinds() == ["moved"]


@pytest.mark.parametrize("attendance", [2, 1, 0, -1])
def test_attendance_alone_says_nothing(attendance: int) -> None:
    open_salon()
    hear("create", 1)
    send_all()
    hear("update", 2, attendance=attendance, comment="?", services=[{"id": 5034676, "title": "Стрижка"}])
    assert waiting() == []


@pytest.mark.parametrize(("status", "data"), [("delete", {}), ("update", {"deleted": True})])
def test_both_forms_of_a_cancellation_are_told_once(status: str, data: dict[str, Any]) -> None:
    open_salon()
    hear("create", 1)
    send_all()
    hear(status, 2, **data)
    hear("delete", 3)
    [(kind, _phone, text)] = waiting()
    assert kind == "cancelled"
    assert "отменена" in text


def test_a_cancellation_speaks_of_the_time_that_the_client_knows() -> None:
    open_salon()
    hear("create", 1)
    send_all()
    hear("update", 2, start=in_days(5, hour=17))
    hear("delete", 3, start=in_days(5, hour=17))
    [(kind, _phone, text)] = waiting()
    assert kind == "cancelled"
    assert "12:10" in text


def test_of_several_changes_before_the_message_left_the_last_is_told_once() -> None:
    open_salon()
    hear("create", 1)
    hear("update", 2, start=in_days(4, hour=10))
    hear("update", 3, start=in_days(4, hour=15))
    [(kind, _phone, text)] = waiting()
    assert kind == "created"
    assert "15:10" in text
    assert Message.objects.filter(error_code="superseded").count() == 2


def test_what_is_made_and_cancelled_before_it_was_sent_says_nothing() -> None:
    open_salon()
    hear("create", 1)
    hear("delete", 2)
    assert waiting() == []
    assert Message.objects.get().error_code == "superseded"


def test_what_is_moved_and_moved_back_before_it_was_sent_says_nothing() -> None:
    open_salon()
    hear("create", 1)
    send_all()
    hear("update", 2, start=in_days(4))
    hear("update", 3)
    assert waiting() == []


def test_what_is_being_sent_is_not_withdrawn_but_followed() -> None:
    open_salon()
    hear("create", 1)
    Message.objects.update(status="sending")
    hear("update", 2, start=in_days(4))
    assert list(Message.objects.order_by("pk").values_list("status", flat=True)) == ["sending", "queued"]
    assert kinds() == ["moved"]


def test_a_restored_booking_is_new_to_who_was_told_of_the_cancellation() -> None:
    open_salon()
    hear("create", 1)
    send_all()
    hear("delete", 2)
    send_all()
    hear("update", 3, deleted=False)
    assert kinds() == ["created"]


def test_a_repeat_and_an_older_state_say_nothing() -> None:
    open_salon()
    hear("create", 1)
    hear("update", 5, start=in_days(5))
    send_all()
    assert hear("update", 3, start=in_days(4)).state == "ignored"
    hear("update", 5, start=in_days(5), comment="the same change in other words")
    assert waiting() == []
    assert the_record().starts_at == in_days(5)


def test_a_change_that_comes_before_the_making_leads_to_one_message_about_the_latest() -> None:
    open_salon()
    hear("update", 2, start=in_days(5))
    assert waiting() == []
    hear("create", 1)
    [(kind, _phone, text)] = waiting()
    assert kind == "created"
    assert the_record().starts_at == in_days(5)
    assert "12:10" in text


def test_a_booking_from_before_our_time_is_not_new() -> None:
    open_salon()
    hear("update", 1)
    assert waiting() == []
    hear("update", 2, staff=BORIS)
    assert kinds() == ["moved"]


def test_an_update_of_a_booking_that_was_made_just_now_is_its_making() -> None:
    open_salon()
    hear("update", 3 * 3600 - 120, create_date=record_body("x", 3 * 3600 - 120)["data"]["last_change_date"])
    assert kinds() == ["created"]


def test_a_deletion_that_comes_before_the_making_silences_it() -> None:
    open_salon()
    hear("delete", 2)
    hear("create", 1)
    assert waiting() == []


def test_a_change_within_the_second_of_the_making_counts() -> None:
    open_salon()
    hear("update", 1, start=in_days(6))
    hear("create", 1)
    assert the_record().starts_at == in_days(6)
    assert kinds() == ["created"]


def test_a_partial_webhook_changes_only_what_it_says() -> None:
    open_salon()
    hear("create", 1)
    send_all()
    hear("update", 2, services=..., staff=..., client=..., start=in_days(4))
    [(kind, _phone, text)] = waiting()
    assert kind == "moved"
    assert "Мастер: Анна" in text
    assert "Иван" in text


def test_what_was_not_known_at_first_is_no_change() -> None:
    open_salon()
    hear("create", 1, services=..., staff=..., staff_id=...)
    send_all()
    hear("update", 2)
    assert waiting() == []
    hear("update", 3, staff=BORIS)
    assert kinds() == ["moved"]


def test_without_a_time_of_change_the_time_of_arrival_counts() -> None:
    open_salon()
    hear("create", 1)
    send_all()
    hear("update", 2, last_change_date=..., start=in_days(4))
    assert kinds() == ["moved"]
    hear("update", 3, start=in_days(5))
    assert the_record().starts_at == in_days(4)


def test_a_visit_that_has_begun_is_not_spoken_of() -> None:
    open_salon()
    hear("create", 1, start=in_days(-1))
    hear("update", 2, start=in_days(-1, hour=14))
    hear("delete", 3)
    assert Message.objects.count() == 0


def test_a_booking_without_a_phone_is_told_when_it_gets_one() -> None:
    open_salon()
    hear("create", 1, client=None)
    hear("update", 2, client=NO_PHONE)
    hear("update", 3, client={"id": 1, "name": "Иван", "phone": "не скажу"})
    assert waiting() == []
    hear("update", 4)
    assert kinds() == ["created"]


def test_a_booking_that_loses_its_phone_says_nothing() -> None:
    open_salon()
    hear("create", 1)
    send_all()
    hear("update", 2, client=None, start=in_days(4))
    assert waiting() == []
    hear("update", 3, start=in_days(4))
    assert kinds() == ["moved"]


def test_another_client_is_told_of_the_making_and_the_first_of_the_cancellation() -> None:
    open_salon()
    hear("create", 1)
    send_all()
    hear("update", 2, client=OLGAS)
    assert {(kind, phone) for kind, phone, _text in waiting()} == {("cancelled", IVAN), ("created", OLGA)}
    assert ["Иван" in text for kind, _phone, text in waiting() if kind == "cancelled"] == [True]


def test_another_client_before_the_first_was_told_is_the_only_one_who_hears() -> None:
    open_salon()
    hear("create", 1)
    hear("update", 2, client=OLGAS)
    assert [(kind, phone) for kind, phone, _text in waiting()] == [("created", OLGA)]


def test_another_phone_of_the_same_client_is_no_cancellation() -> None:
    open_salon()
    hear("create", 1)
    send_all()
    hear("update", 2, client={"id": 1, "name": "Иван", "phone": OLGA})
    assert [(kind, phone) for kind, phone, _text in waiting()] == [("created", OLGA)]


def test_who_opted_out_hears_nothing() -> None:
    company = open_salon()
    opt_outs.opt_out(company_ids=[company.pk], phone=IVAN)
    hear("create", 1)
    hear("update", 2, start=in_days(4))
    assert Message.objects.count() == 0


def test_who_opted_out_at_another_salon_of_the_number_hears_nothing() -> None:
    company = open_salon()
    other = make_active(412870, session=company.session)
    opt_outs.opt_out(company_ids=[other.pk], phone=IVAN)
    hear("create", 1)
    assert Message.objects.count() == 0


def test_a_frozen_salon_says_nothing_and_goes_on_from_what_it_kept() -> None:
    company = open_salon()
    lifecycle.freeze(company, by="test")
    hear("create", 1)
    assert Message.objects.count() == 0
    company.refresh_from_db()
    lifecycle.unfreeze(company, by="test")
    hear("update", 2, start=in_days(4))
    assert kinds() == ["moved"]


def test_a_salon_without_a_linked_device_says_nothing() -> None:
    open_salon()
    Session.objects.update(jid="", status="logged_out", wanted="stopped")
    hear("create", 1)
    assert Message.objects.count() == 0


def test_an_uninstalled_salons_late_webhook_does_nothing() -> None:
    open_salon()
    post(record_body("create", 1), MOSCOW_DOOR)
    lifecycle.uninstall(Company.objects.get(), by="test")
    work()
    assert InboundWebhook.objects.get().state == "ignored"
    assert RecordState.objects.count() == 0


def test_what_could_not_be_delivered_is_not_tried_again_until_the_booking_changes() -> None:
    open_salon()
    hear("create", 1)
    Message.objects.update(status="failed", error_code="not_on_whatsapp")
    hear("update", 2, attendance=2)
    assert Message.objects.count() == 1
    hear("update", 3, start=in_days(4))
    assert kinds() == ["created"]


def test_an_unknown_outcome_counts_as_told() -> None:
    open_salon()
    hear("create", 1)
    Message.objects.update(status="unknown")
    hear("update", 2, start=in_days(4))
    assert kinds() == ["moved"]


def test_a_replayed_webhook_has_no_second_effect() -> None:
    open_salon()
    webhook = hear("create", 1)
    send_all()
    InboundWebhook.objects.update(state="received", attempts=0)
    webhook.refresh_from_db()
    from marketplace import effects

    assert effects.apply(webhook=webhook) == "ignored"
    assert Message.objects.count() == 1


def test_english_salons_write_english() -> None:
    open_salon(**EVERYTHING, language="en")
    hear("create", 1)
    [(_kind, _phone, text)] = waiting()
    assert "You are booked at Лотос: " in text
