"""Advertising keeps to the daytime by the salon's own clock, as YClients tells it."""

from typing import Any

import pytest
from django.utils import timezone

from marketplace.models import Company, InboundWebhook
from marketplace.salons import activation, clock
from marketplace.salons.registration import start_registration
from marketplace.webhooks import processing
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import ANDREY, EKATERINBURG, MOSCOW, let_the_worker_check, make_active
from tests.marketplace.webhook_posts import MOSCOW_WEBHOOK_URL, post
from whatsapp.messages import limits
from whatsapp.models import SendingLimits

pytestmark = pytest.mark.django_db(transaction=True)


def clocks() -> list[str]:
    return list(SendingLimits.objects.values_list("timezone_name", flat=True))


def move(company: Company, zone: str) -> None:
    before, company.timezone_name = company.timezone_name, zone
    company.save()
    clock.follow(company, before=before)


def test_a_registered_salons_number_has_the_salons_clock(registered: Company) -> None:
    assert clocks() == [registered.timezone_name]
    assert registered.timezone_name


def test_a_clock_learned_after_the_registration_is_set_at_the_activation(connected: Company) -> None:
    SendingLimits.objects.all().delete()
    activation.activate(company=connected, cause="test")
    assert clocks() == [connected.timezone_name]


def test_a_salon_that_moves_takes_its_number_along(yclients: LocalYClients) -> None:
    company = make_active(MOSCOW, timezone_name="Asia/Almaty")
    clock.follow(company)
    yclients.press_connect(MOSCOW)
    start_registration(salon_ids=[MOSCOW], user=ANDREY, signed=True)
    let_the_worker_check()
    company.refresh_from_db()
    assert company.timezone_name != "Asia/Almaty"
    assert clocks() == [company.timezone_name]


def work() -> None:
    """Do what the worker would do with kept entity webhooks."""
    for pk in processing.BOOKINGS.due(limit=9):
        processing.apply(webhook=InboundWebhook.objects.get(pk=pk))


def changed(resource: str = "company", status: str = "update") -> dict[str, Any]:
    """YClients says that the salon itself changed; the data is of no weight."""
    return {
        "company_id": MOSCOW,
        "resource": resource,
        "resource_id": MOSCOW,
        "status": status,
        "data": {"id": MOSCOW, "timezone_name": "Mars/Olympus"},
    }


@pytest.mark.parametrize("resource", ["company", "salon"])
def test_yclients_is_asked_when_it_says_that_a_salon_changed(yclients: LocalYClients, resource: str) -> None:
    company = make_active(MOSCOW, timezone_name="Asia/Almaty", title="Старое имя")
    clock.follow(company)
    yclients.press_connect(MOSCOW)
    assert post(changed(resource), MOSCOW_WEBHOOK_URL).status_code == 200
    work()
    company.refresh_from_db()
    assert (company.title, company.timezone_name) == ("Студия красоты «Линия»", "Europe/Moscow")
    assert (company.status, clocks()) == ("active", ["Europe/Moscow"])


def test_yclients_that_does_not_answer_is_asked_again_later(yclients: LocalYClients) -> None:
    make_active(MOSCOW, title="Старое имя")
    yclients.press_connect(MOSCOW)
    yclients.fault("422", endpoint="company")
    post(changed(), MOSCOW_WEBHOOK_URL)
    work()
    assert InboundWebhook.objects.get().state == "failed"
    InboundWebhook.objects.update(next_attempt_at=timezone.now())
    work()
    assert InboundWebhook.objects.get().state == "applied"
    assert Company.objects.get().title == "Студия красоты «Линия»"


def test_a_salon_that_left_is_not_asked_about(yclients: LocalYClients) -> None:
    make_active(MOSCOW)
    post(changed(), MOSCOW_WEBHOOK_URL)
    Company.objects.update(status="uninstalled", api_key="", api_key_digest=None)
    work()
    assert (InboundWebhook.objects.get().state, yclients.calls()) == ("ignored", [])


def test_a_clock_that_support_has_set_stays() -> None:
    company = make_active(MOSCOW, timezone_name="Europe/Moscow")
    assert company.session is not None
    limits.set_timezone(session=company.session, timezone_name="Asia/Omsk")
    clock.follow(company)
    move(company, "Asia/Almaty")
    assert clocks() == ["Asia/Omsk"]


def test_the_first_of_several_branches_sets_the_clock_of_their_number() -> None:
    first = make_active(MOSCOW, timezone_name="Europe/Moscow")
    second = make_active(EKATERINBURG, timezone_name="Asia/Yekaterinburg", session=first.session)
    clock.follow(first)
    clock.follow(second)
    assert clocks() == ["Europe/Moscow"]


def test_a_salon_without_a_clock_or_a_number_sets_none() -> None:
    clock.follow(make_active(MOSCOW))
    clock.follow(make_active(EKATERINBURG, session=None, timezone_name="Europe/Moscow"))
    assert clocks() == []
