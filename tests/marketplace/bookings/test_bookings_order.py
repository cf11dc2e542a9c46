"""Webhooks in any order, repeated, partial, before and after a message has left: the client hears it once."""

import pytest

from marketplace.models import InboundWebhook
from marketplace.webhooks import processing
from tests.marketplace.bookings.salon import (
    BORIS,
    in_days,
    kinds,
    open_salon,
    receive,
    record_body,
    send_all,
    the_record,
    waiting,
)
from whatsapp.models import Message

pytestmark = pytest.mark.django_db


def test_of_several_changes_before_the_message_left_the_last_is_told_once() -> None:
    open_salon()
    receive("create", 1)
    receive("update", 2, start=in_days(4, hour=10))
    receive("update", 3, start=in_days(4, hour=15))
    [(kind, _phone, text)] = waiting()
    assert kind == "created"
    assert "15:10" in text
    assert Message.objects.filter(error_code="superseded").count() == 2


def test_what_is_made_and_cancelled_before_it_was_sent_says_nothing() -> None:
    open_salon()
    receive("create", 1)
    receive("delete", 2)
    assert waiting() == []
    assert Message.objects.get().error_code == "superseded"


def test_what_is_moved_and_moved_back_before_it_was_sent_says_nothing() -> None:
    open_salon()
    receive("create", 1)
    send_all()
    receive("update", 2, start=in_days(4))
    receive("update", 3)
    assert waiting() == []


def test_what_is_being_sent_is_not_withdrawn_but_followed() -> None:
    open_salon()
    receive("create", 1)
    Message.objects.update(status="sending")
    receive("update", 2, start=in_days(4))
    assert list(Message.objects.order_by("pk").values_list("status", flat=True)) == ["sending", "queued"]
    assert kinds() == ["moved"]


def test_a_repeat_and_an_older_state_say_nothing() -> None:
    open_salon()
    receive("create", 1)
    receive("update", 5, start=in_days(5))
    send_all()
    assert receive("update", 3, start=in_days(4)).state == "ignored"
    receive("update", 5, start=in_days(5), comment="the same change in other words")
    assert waiting() == []
    assert the_record().starts_at == in_days(5)


def test_a_change_that_comes_before_the_making_leads_to_one_message_about_the_latest() -> None:
    open_salon()
    receive("update", 2, start=in_days(5))
    assert waiting() == []
    receive("create", 1)
    [(kind, _phone, text)] = waiting()
    assert kind == "created"
    assert the_record().starts_at == in_days(5)
    assert "12:10" in text


def test_a_booking_from_before_our_time_is_not_new() -> None:
    open_salon()
    receive("update", 1)
    assert waiting() == []
    receive("update", 2, staff=BORIS)
    assert kinds() == ["moved"]


def test_an_update_of_a_booking_that_was_made_just_now_is_its_making() -> None:
    open_salon()
    receive(
        "update", 3 * 3600 - 120, create_date=record_body("x", 3 * 3600 - 120)["data"]["last_change_date"]
    )
    assert kinds() == ["created"]


def test_a_deletion_that_comes_before_the_making_silences_it() -> None:
    open_salon()
    receive("delete", 2)
    receive("create", 1)
    assert waiting() == []


def test_a_change_within_the_second_of_the_making_counts() -> None:
    open_salon()
    receive("update", 1, start=in_days(6))
    receive("create", 1)
    assert the_record().starts_at == in_days(6)
    assert kinds() == ["created"]


def test_a_partial_webhook_changes_only_what_it_says() -> None:
    open_salon()
    receive("create", 1)
    send_all()
    receive("update", 2, services=..., staff=..., client=..., start=in_days(4))
    [(kind, _phone, text)] = waiting()
    assert kind == "moved"
    assert "Мастер: Анна" in text
    assert "Иван" in text


def test_what_was_not_known_at_first_is_no_change() -> None:
    open_salon()
    receive("create", 1, services=..., staff=..., staff_id=...)
    send_all()
    receive("update", 2)
    assert waiting() == []
    receive("update", 3, staff=BORIS)
    assert kinds() == ["moved"]


def test_without_a_time_of_change_the_time_of_arrival_counts() -> None:
    open_salon()
    receive("create", 1)
    send_all()
    receive("update", 2, last_change_date=..., start=in_days(4))
    assert kinds() == ["moved"]
    receive("update", 3, start=in_days(5))
    assert the_record().starts_at == in_days(4)


def test_a_replayed_webhook_has_no_second_effect() -> None:
    open_salon()
    webhook = receive("create", 1)
    send_all()
    InboundWebhook.objects.update(state="received", attempts=0)
    webhook.refresh_from_db()
    assert processing.apply(webhook=webhook) == "ignored"
    assert Message.objects.count() == 1
