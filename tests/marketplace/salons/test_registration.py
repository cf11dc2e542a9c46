"""Salons arrive from the marketplace: what is written, what is asked, and whose WhatsApp is never touched."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from marketplace.models import Company, MarketplaceEvent, RegistrationCheck
from marketplace.salons.registration import (
    BadSalons,
    InstallationUnverified,
    NotInstalling,
    Registration,
    SalonFrozen,
    start_registration,
)
from marketplace.yclients.signing import MarketplaceUser
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import (
    ALMATY,
    ANDREY,
    EKATERINBURG,
    MOSCOW,
    connect_phone,
    let_the_worker_check,
    make_active,
)

pytestmark = pytest.mark.django_db(transaction=True)


def register(*salon_ids: int, signed: bool = True, user: MarketplaceUser = ANDREY) -> Registration:
    return start_registration(salon_ids=list(salon_ids), user=user, signed=signed)


def events(salon_id: int) -> list[str]:
    found = MarketplaceEvent.objects.filter(salon_id=salon_id).order_by("id")
    return [event.event_type for event in found]


def test_a_new_salon_waits_for_whatsapp_with_its_details(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW)
    company = register(MOSCOW).primary
    assert (company.salon_id, company.status) == (MOSCOW, "pending_whatsapp")
    let_the_worker_check()
    company.refresh_from_db()
    assert company.title
    assert company.timezone_name == "Europe/Moscow"
    assert (company.marketplace_user_id, company.marketplace_user_name) == ("123", "Андрей Иванов")
    assert company.session is not None
    assert events(MOSCOW) == ["registration_started"]


def test_the_event_says_who_and_names_no_secret(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW)
    register(MOSCOW, signed=False)
    data = MarketplaceEvent.objects.get().event_data
    assert (data["signed"], data["user_id"], data["salons"]) == (False, "123", [MOSCOW])
    assert "andrey@example.com" not in str(data)


def test_coming_again_keeps_the_row_and_the_session(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW)
    first, second = register(MOSCOW).primary, register(MOSCOW).primary
    assert (first.pk, first.session_id) == (second.pk, second.session_id)
    assert events(MOSCOW) == ["registration_started"] * 2


def test_without_company_details_it_goes_on(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW)
    yclients.fault("422", endpoint="company")
    company = register(MOSCOW, user=MarketplaceUser(salon_name="Barbershop")).primary
    assert company.title == "Barbershop"


@pytest.mark.parametrize("state", ["never installed", "uninstalled", "expired"])
def test_a_salon_that_is_not_installing_us_is_refused(yclients: LocalYClients, state: str) -> None:
    if state != "never installed":
        yclients.press_connect(MOSCOW)
    if state == "uninstalled":
        yclients.change(MOSCOW, "uninstall")
    if state == "expired":
        yclients.do(lambda there: there.context.clock.advance(seconds=13 * 3600))
    with pytest.raises(NotInstalling):
        register(MOSCOW)
    assert not Company.objects.exists()


def test_a_frozen_salon_is_neither_refused_nor_registered(yclients: LocalYClients) -> None:
    activate_at(yclients, MOSCOW)
    yclients.change(MOSCOW, "freeze")
    make_active(MOSCOW)
    with pytest.raises(SalonFrozen):
        register(MOSCOW)
    assert events(MOSCOW) == ["frozen"]


def test_a_salon_of_a_link_that_is_not_installing_us_does_not_join(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW)
    found = register(MOSCOW, ALMATY)
    let_the_worker_check()
    assert Company.objects.filter(session=found.primary.session).get() == found.primary
    assert RegistrationCheck.objects.get().state == "refused"
    assert Company.objects.get(salon_id=ALMATY).marketplace_user_id == ""


def test_a_visit_asks_yclients_once_however_many_salons_it_names(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW)
    register(MOSCOW, *range(900_001, 900_050))
    assert len(yclients.calls()) == 1


def test_a_salon_that_was_let_in_unchecked_and_is_not_installing_us_is_let_go(
    yclients: LocalYClients,
) -> None:
    yclients.fault("down")
    company = register(MOSCOW).primary
    yclients.heal()
    let_the_worker_check()
    company.refresh_from_db()
    assert (company.status, company.session) == ("uninstalled", None)


def test_yclients_away_lets_a_signed_visitor_in_and_no_other(yclients: LocalYClients, settings: Any) -> None:
    settings.YCLIENTS_API_URL = "http://127.0.0.1:9"
    settings.YCLIENTS_MARKETPLACE_URL = "http://127.0.0.1:9/marketplace"
    with pytest.raises(InstallationUnverified):
        register(MOSCOW, signed=False)
    assert not Company.objects.exists()
    assert register(MOSCOW, signed=True).primary.status == "pending_whatsapp"


def test_the_check_can_be_turned_off(yclients: LocalYClients, settings: Any) -> None:
    settings.YCLIENTS_VERIFY_INSTALLATION = False
    assert register(MOSCOW, signed=False).primary.status == "pending_whatsapp"
    assert yclients.calls("install_status") == []


@pytest.mark.parametrize("ids", [[], [0], [-1], [2**63], list(range(1, 52))])
def test_impossible_salons_are_refused_before_anything_is_asked(
    yclients: LocalYClients, ids: list[int]
) -> None:
    with pytest.raises(BadSalons):
        register(*ids)
    assert yclients.calls() == []


def test_branches_of_one_link_share_one_session_in_the_order_of_the_link(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW, ALMATY, EKATERINBURG)
    found = register(EKATERINBURG, MOSCOW, EKATERINBURG, ALMATY)
    let_the_worker_check()
    assert [company.salon_id for company in found.companies] == [EKATERINBURG, MOSCOW, ALMATY]
    assert found.primary.salon_id == EKATERINBURG
    assert Company.objects.values("session").distinct().count() == 1
    assert events(ALMATY) == events(MOSCOW) == ["registration_started"]


def test_an_active_salon_is_left_as_it_is(yclients: LocalYClients) -> None:
    active = make_active(MOSCOW, marketplace_user_id="123", marketplace_user_name="The owner")
    yclients.press_connect(MOSCOW)
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=MOSCOW, api_key="k", webhook_urls=[], channels=["whatsapp"]
        )
    )
    found = register(MOSCOW, user=MarketplaceUser(id="123", name="Renamed")).primary
    assert (found.status, found.session_id, found.api_key) == ("active", active.session_id, active.api_key)
    assert found.marketplace_user_name == "The owner"


def activate_at(yclients: LocalYClients, *salon_ids: int) -> None:
    yclients.press_connect(*salon_ids)
    for salon_id in salon_ids:
        yclients.do(
            lambda there, salon_id=salon_id: there.marketplace.activate(  # type: ignore[misc]
                salon_id=salon_id, api_key="k", webhook_urls=[], channels=["whatsapp"]
            )
        )


def test_adding_an_active_salon_to_a_link_gives_no_hold_of_its_whatsapp(yclients: LocalYClients) -> None:
    victim = make_active(ALMATY, marketplace_user_id="another")
    activate_at(yclients, ALMATY)
    yclients.press_connect(MOSCOW)
    for order in ([MOSCOW, ALMATY], [ALMATY, MOSCOW]):
        found = register(*order)
        assert [company.salon_id for company in found.companies] == [MOSCOW]
        assert found.primary.session_id != victim.session_id
    victim.refresh_from_db()
    assert victim.status == "active"
    assert Company.objects.filter(session=victim.session_id).count() == 1


def test_a_salon_with_a_linked_phone_keeps_it_to_itself(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW, ALMATY)
    victim = register(ALMATY).primary
    session = connect_phone(victim)
    found = register(MOSCOW, ALMATY)
    let_the_worker_check()
    victim.refresh_from_db()
    assert victim.session_id == session.pk
    assert found.primary.session_id != session.pk


def test_a_session_that_its_salons_left_can_link_no_phone_any_more(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW, ALMATY)
    left = register(ALMATY).primary.session
    assert left is not None
    register(MOSCOW, ALMATY)
    let_the_worker_check()
    left.refresh_from_db()
    assert left.wanted == "unlinked"


def test_a_frozen_salon_that_yclients_calls_active_is_served_again(yclients: LocalYClients) -> None:
    make_active(MOSCOW, status="frozen")
    activate_at(yclients, MOSCOW)
    assert register(MOSCOW).primary.status == "active"
    assert events(MOSCOW) == ["unfrozen", "registration_started"]


def test_a_salon_reinstalled_without_our_knowledge_waits_for_a_new_key(yclients: LocalYClients) -> None:
    make_active(MOSCOW, activated_at=timezone.now() - timedelta(days=30))
    yclients.press_connect(MOSCOW)
    found = register(MOSCOW).primary
    assert (found.status, found.api_key, found.webhook_secret) == ("pending_whatsapp", "", "")
    assert found.session is not None
    assert found.session.is_linked


def test_an_activation_under_way_is_not_disturbed(yclients: LocalYClients) -> None:
    company = make_active(MOSCOW, status="activating")
    yclients.press_connect(MOSCOW)
    found = register(MOSCOW).primary
    assert (found.status, found.api_key) == ("activating", company.api_key)


def test_a_failed_activation_begins_anew(yclients: LocalYClients) -> None:
    Company.objects.create(salon_id=MOSCOW, status="activation_failed", activation_error="x")
    yclients.press_connect(MOSCOW)
    found = register(MOSCOW).primary
    assert (found.status, found.activation_error) == ("pending_whatsapp", "")
