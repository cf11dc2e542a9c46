"""Who hears of a booking, and who does not: clients and their phones, opt-outs, salons that cannot send."""

from typing import Any

import pytest

from marketplace.inbound import opt_outs
from marketplace.models import Company, InboundWebhook, RecordState
from marketplace.salons import lifecycle
from tests.marketplace.bookings.salon import (
    IVAN,
    OLGA,
    in_days,
    kinds,
    open_salon,
    receive,
    record_body,
    send_all,
    waiting,
    work,
)
from tests.marketplace.salons_data import make_active
from tests.marketplace.webhook_posts import store
from whatsapp.models import Message, Session

pytestmark = pytest.mark.django_db

OLGAS = {"id": 2, "name": "Ольга", "phone": f"+{OLGA}"}
NO_PHONE: Any = {"id": 1, "name": "Иван", "phone": ""}


def test_a_booking_without_a_phone_is_told_when_it_gets_one() -> None:
    open_salon()
    receive("create", 1, client=None)
    receive("update", 2, client=NO_PHONE)
    receive("update", 3, client={"id": 1, "name": "Иван", "phone": "не скажу"})
    assert waiting() == []
    receive("update", 4)
    assert kinds() == ["created"]


def test_a_booking_that_loses_its_phone_says_nothing() -> None:
    open_salon()
    receive("create", 1)
    send_all()
    receive("update", 2, client=None, start=in_days(4))
    assert waiting() == []
    receive("update", 3, start=in_days(4))
    assert kinds() == ["moved"]


def test_another_client_is_told_of_the_making_and_the_first_of_the_cancellation() -> None:
    open_salon()
    receive("create", 1)
    send_all()
    receive("update", 2, client=OLGAS)
    assert {(kind, phone) for kind, phone, _text in waiting()} == {("cancelled", IVAN), ("created", OLGA)}
    assert ["Иван" in text for kind, _phone, text in waiting() if kind == "cancelled"] == [True]


def test_another_client_before_the_first_was_told_is_the_only_one_who_hears() -> None:
    open_salon()
    receive("create", 1)
    receive("update", 2, client=OLGAS)
    assert [(kind, phone) for kind, phone, _text in waiting()] == [("created", OLGA)]


def test_another_phone_of_the_same_client_is_no_cancellation() -> None:
    open_salon()
    receive("create", 1)
    send_all()
    receive("update", 2, client={"id": 1, "name": "Иван", "phone": OLGA})
    assert [(kind, phone) for kind, phone, _text in waiting()] == [("created", OLGA)]


def test_who_opted_out_hears_nothing() -> None:
    company = open_salon()
    opt_outs.opt_out(company_ids=[company.pk], phone=IVAN)
    receive("create", 1)
    receive("update", 2, start=in_days(4))
    assert Message.objects.count() == 0


def test_who_opted_out_at_another_salon_of_the_number_hears_nothing() -> None:
    company = open_salon()
    other = make_active(412870, session=company.session)
    opt_outs.opt_out(company_ids=[other.pk], phone=IVAN)
    receive("create", 1)
    assert Message.objects.count() == 0


def test_a_frozen_salon_says_nothing_and_goes_on_from_what_it_kept() -> None:
    company = open_salon()
    lifecycle.freeze(company, by="test")
    receive("create", 1)
    assert Message.objects.count() == 0
    company.refresh_from_db()
    lifecycle.unfreeze(company, by="test")
    receive("update", 2, start=in_days(4))
    assert kinds() == ["moved"]


def test_a_salon_without_a_linked_device_says_nothing() -> None:
    open_salon()
    Session.objects.update(jid="", status="logged_out", wanted="stopped")
    receive("create", 1)
    assert Message.objects.count() == 0


def test_an_uninstalled_salons_late_webhook_does_nothing() -> None:
    open_salon()
    store(record_body("create", 1))
    lifecycle.uninstall(Company.objects.get(), by="test")
    work()
    assert InboundWebhook.objects.get().state == "ignored"
    assert RecordState.objects.count() == 0


def test_what_could_not_be_delivered_is_not_tried_again_until_the_booking_changes() -> None:
    open_salon()
    receive("create", 1)
    Message.objects.update(status="failed", error_code="not_on_whatsapp")
    receive("update", 2, attendance=2)
    assert Message.objects.count() == 1
    receive("update", 3, start=in_days(4))
    assert kinds() == ["created"]


def test_an_unknown_outcome_counts_as_told() -> None:
    open_salon()
    receive("create", 1)
    Message.objects.update(status="unknown")
    receive("update", 2, start=in_days(4))
    assert kinds() == ["moved"]
