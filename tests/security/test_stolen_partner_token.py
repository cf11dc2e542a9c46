"""Who has stolen the partner token can stop no salon for longer than one question to YClients takes."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone

from marketplace.models import Company, UninstallRequest
from marketplace.sync import uninstalls
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import ALMATY, EKATERINBURG, MOSCOW, make_active
from tests.marketplace.webhook_posts import events, lifecycle_body, post
from whatsapp.models import Session

pytestmark = pytest.mark.django_db(transaction=True)
SALONS = (MOSCOW, EKATERINBURG, ALMATY)


@pytest.fixture
def salons(yclients: LocalYClients) -> list[Company]:
    """Three salons, active here and at YClients."""
    for salon_id in SALONS:
        install(yclients, salon_id)
    return [make_active(salon_id) for salon_id in SALONS]


def install(yclients: LocalYClients, salon_id: int) -> None:
    yclients.press_connect(salon_id)
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=salon_id, api_key="k", webhook_urls=[], channels=["whatsapp"]
        )
    )


def attack(salon_id: int) -> int:
    try:
        code: int = post(lifecycle_body("uninstall", salon_id=salon_id)).status_code
        return code
    finally:
        connection.close()


def ask_yclients() -> None:
    UninstallRequest.objects.update(next_at=timezone.now(), claimed_until=None)
    for request_id in uninstalls.REQUESTS.due(limit=99):
        uninstalls.check(request_id)


def test_many_forged_uninstalls_at_once_destroy_nothing(salons: list[Company]) -> None:
    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(attack, SALONS * 4)) == {200}
    assert UninstallRequest.objects.count() == len(SALONS)
    ask_yclients()
    assert set(Company.objects.values_list("status", flat=True)) == {"active"}
    assert not Company.objects.filter(api_key_digest=None).exists()
    assert set(Session.objects.values_list("wanted", "sending_paused")) == {("linked", False)}
    assert events("uninstall_denied") == len(SALONS)


def test_a_forged_uninstall_destroys_nothing_while_yclients_is_away(
    salons: list[Company], yclients: LocalYClients
) -> None:
    yclients.fault("down")
    attack(MOSCOW)
    for _question in range(3):
        ask_yclients()
    company = Company.objects.get(salon_id=MOSCOW)
    assert (company.status, bool(company.api_key)) == ("frozen", True)
    yclients.heal()
    ask_yclients()
    company.refresh_from_db()
    assert company.status == "active"


def test_a_forged_payment_wakes_no_salon_that_is_being_checked(
    salons: list[Company], yclients: LocalYClients
) -> None:
    yclients.change(MOSCOW, "uninstall")
    attack(MOSCOW)
    post(lifecycle_body("payment"))
    assert Company.objects.get(salon_id=MOSCOW).status == "frozen"
