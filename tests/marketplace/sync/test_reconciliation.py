"""Comparing with YClients: what is certain is repaired, the rest is shown, and no fault destroys anything."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.shared.queue import ClaimLost
from marketplace.models import Company, CompanyCheck, Discrepancy, Listing, MarketplaceEvent
from marketplace.sync import listing, reconciliation, repairs
from marketplace.yclients import call_errors, rate_limit
from marketplace.yclients.api import YClients
from marketplace.yclients.call_errors import Kind, YClientsError
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import ALMATY, EKATERINBURG, MOSCOW, make_active
from whatsapp.models import Session

pytestmark = pytest.mark.django_db(transaction=True)


def install(yclients: LocalYClients, salon_id: int = MOSCOW) -> None:
    """The salon is active at YClients."""
    yclients.press_connect(salon_id)
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=salon_id, api_key="k", webhook_urls=[], channels=["whatsapp"]
        )
    )


@pytest.fixture
def moscow(yclients: LocalYClients) -> Company:
    """Moscow, active here and there for a day."""
    install(yclients)
    company = make_active()
    Company.objects.update(created_at=timezone.now() - timedelta(days=1))
    return company


def forget(yclients: LocalYClients, salon_id: int) -> None:
    """YClients answers 404 for the salon's installation."""
    yclients.do(lambda there: setattr(there.marketplace.salon(salon_id), "installation", None))


def reconcile(company: Company) -> str:
    """One comparison when its time has come; the salon's status afterwards."""
    CompanyCheck.objects.update(next_at=timezone.now())
    for company_id in reconciliation.due(limit=99):
        reconciliation.check(company_id)
    company.refresh_from_db()
    return company.status


def a_quarter_of_an_hour_passes() -> None:
    for row in CompanyCheck.objects.filter(missing_since__isnull=False):
        CompanyCheck.objects.filter(pk=row.pk).update(
            missing_since=row.missing_since - repairs.SECOND_CHECK  # type: ignore[operator]
        )


def shown() -> list[tuple[int, str]]:
    return list(
        Discrepancy.objects.filter(resolved_at=None).order_by("salon_id").values_list("salon_id", "kind")
    )


def test_what_agrees_stays_and_is_asked_again_hours_later(moscow: Company) -> None:
    assert reconcile(moscow) == "active"
    row = CompanyCheck.objects.get()
    assert (row.said, row.last_error, row.claimed_until) == ("active", "", None)
    assert row.next_at > timezone.now() + timedelta(hours=5)
    assert reconciliation.due(limit=9) == []


def test_a_salon_of_today_is_not_asked_about_yet(yclients: LocalYClients) -> None:
    make_active()
    assert reconciliation.due(limit=9) == []


def test_a_missed_freeze_and_a_missed_payment(moscow: Company, yclients: LocalYClients) -> None:
    yclients.change(MOSCOW, "freeze")
    assert reconcile(moscow) == "frozen"
    assert Session.objects.get().sending_paused
    assert CompanyCheck.objects.get().next_at < timezone.now() + timedelta(minutes=16)
    yclients.change(MOSCOW, "unfreeze")
    assert reconcile(moscow) == "active"
    assert not Session.objects.get().sending_paused
    kinds = MarketplaceEvent.objects.order_by("id").values_list("event_type", "event_data__by")
    assert list(kinds) == [("frozen", "reconciliation"), ("unfrozen", "reconciliation")]


def test_a_deliberate_stop_outlives_freeze_and_payment(moscow: Company, yclients: LocalYClients) -> None:
    Session.objects.update(wanted="stopped", status="idle")
    yclients.change(MOSCOW, "freeze")
    reconcile(moscow)
    yclients.change(MOSCOW, "unfreeze")
    assert reconcile(moscow) == "active"
    assert Session.objects.get().wanted == "stopped"


def test_a_missed_uninstall_is_applied(moscow: Company, yclients: LocalYClients) -> None:
    yclients.change(MOSCOW, "uninstall")
    assert reconcile(moscow) == "uninstalled"
    assert Session.objects.get().wanted == "unlinked"
    assert moscow.api_key == ""


def test_an_installation_that_is_not_known_is_believed_gone_at_the_second_look(
    moscow: Company, yclients: LocalYClients
) -> None:
    forget(yclients, MOSCOW)
    assert reconcile(moscow) == "active"
    assert reconcile(moscow) == "active"  # a minute later
    assert Session.objects.get().wanted == "linked"
    a_quarter_of_an_hour_passes()
    assert reconcile(moscow) == "uninstalled"
    assert Session.objects.get().wanted == "unlinked"
    assert moscow.api_key == ""


def test_a_missed_uninstall_of_a_frozen_salon(moscow: Company, yclients: LocalYClients) -> None:
    yclients.change(MOSCOW, "freeze")
    reconcile(moscow)
    yclients.change(MOSCOW, "uninstall")
    assert reconcile(moscow) == "uninstalled"


def test_a_first_look_that_was_wrong_is_forgotten(moscow: Company, yclients: LocalYClients) -> None:
    forget(yclients, MOSCOW)
    reconcile(moscow)
    install(yclients)
    a_quarter_of_an_hour_passes()
    assert reconcile(moscow) == "active"
    assert CompanyCheck.objects.get().missing_since is None


@pytest.mark.parametrize("fault", ["500", "503", "429", "drop_before", "drop_after", "down", "403", "422"])
def test_no_fault_of_yclients_is_taken_for_an_uninstall(
    moscow: Company, yclients: LocalYClients, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_errors, "FIRST_PAUSE", 0.001)
    yclients.fault(fault, **({} if fault == "down" else {"until_lifted": True, "seconds": 0.01}))
    for _look in range(2):
        assert reconcile(moscow) == "active"
        a_quarter_of_an_hour_passes()
    row = CompanyCheck.objects.get()
    assert row.last_error
    assert (row.missing_since, row.claimed_until) == (None, None)
    assert row.next_at > timezone.now() + timedelta(minutes=4)
    yclients.heal()
    assert reconcile(moscow) == "active"
    assert CompanyCheck.objects.get().last_error == ""


def test_a_wrong_application_id_destroys_no_salon(yclients: LocalYClients) -> None:
    companies = [make_active(salon_id) for salon_id in range(1001, 1013)]  # YClients knows none of them
    Company.objects.update(created_at=timezone.now() - timedelta(days=1))
    reconcile(companies[0])
    a_quarter_of_an_hour_passes()
    reconcile(companies[0])
    assert Company.objects.filter(status="active").count() == 12
    assert Discrepancy.objects.filter(kind="missing_there", resolved_at=None).count() == 12
    assert Session.objects.filter(wanted="unlinked").count() == 0


def test_salons_that_leave_one_after_the_other_do_not_add_up_to_all(yclients: LocalYClients) -> None:
    """Each comparison sees few enough missing ones; together they would be everybody."""
    companies = [make_active(salon_id) for salon_id in range(1001, 1013)]
    Company.objects.update(created_at=timezone.now() - timedelta(days=1))
    left = []
    for company in companies:
        CompanyCheck.objects.update(next_at=timezone.now() + timedelta(hours=1))
        row, _made = CompanyCheck.objects.update_or_create(
            company=company,
            defaults={"next_at": timezone.now(), "missing_since": timezone.now() - timedelta(hours=1)},
        )
        reconciliation.check(company.pk)
        company.refresh_from_db()
        left.append(company.status)
        CompanyCheck.objects.filter(pk=row.pk).update(missing_since=None)
    assert left.count("uninstalled") <= repairs.MISSING_FREELY


def test_a_salon_that_is_being_connected_again_is_shown(moscow: Company, yclients: LocalYClients) -> None:
    yclients.change(MOSCOW, "uninstall")
    yclients.press_connect(MOSCOW)
    assert reconcile(moscow) == "active"
    assert shown() == [(MOSCOW, "pending_there")]
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=MOSCOW, api_key="k2", webhook_urls=[], channels=["whatsapp"]
        )
    )
    reconcile(moscow)
    assert shown() == []


def test_what_changes_while_yclients_answers_is_left_alone(
    moscow: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The salon is connected anew between the question and the repair."""
    yclients.change(MOSCOW, "freeze")
    ask = YClients.installation

    def slow(self: YClients, salon_id: int) -> Any:
        said = ask(self, salon_id)
        Company.objects.update(registered_at=timezone.now())
        return said

    monkeypatch.setattr(YClients, "installation", slow)
    assert reconcile(moscow) == "active"
    assert CompanyCheck.objects.get().next_at < timezone.now() + timedelta(minutes=2)


def test_two_workers_ask_once(moscow: Company, yclients: LocalYClients) -> None:
    first, second = reconciliation.due(limit=9), reconciliation.due(limit=9)
    for company_id in (*first, *second):
        reconciliation.check(company_id)
    assert len(yclients.calls("install_status")) == 1


def test_a_comparison_leaves_the_next_call_slot_to_an_activation(
    moscow: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "SPACING", timedelta(seconds=1))
    rate_limit.take_slot()  # an activation calls now; the next start is a second away
    with pytest.raises(YClientsError) as failed, YClients(patience=0.1, low_priority=True) as low_priority:
        low_priority.installation(MOSCOW)
    assert failed.value.kind == Kind.BUSY
    assert yclients.calls("install_status") == []
    _start, wait = rate_limit.take_slot()
    assert wait <= 1


# --- the list -----------------------------------------------------------------------------------------


def read_list() -> None:
    Listing.objects.update_or_create(name=listing.NAME, defaults={"next_at": timezone.now()})
    while listing.due(limit=1):
        listing.read_next()


def test_installations_unknown_here_are_shown_and_nothing_is_created(
    moscow: Company, yclients: LocalYClients
) -> None:
    install(yclients, ALMATY)
    yclients.press_connect(EKATERINBURG)  # its owner is on the way to our page
    read_list()
    assert shown() == [(ALMATY, "unknown_here")]
    assert Company.objects.count() == 1
    assert Discrepancy.objects.get().title


def test_active_there_and_not_activated_here_is_shown_until_it_is(
    moscow: Company, yclients: LocalYClients
) -> None:
    Company.objects.update(status="activation_failed")
    read_list()
    assert shown() == [(MOSCOW, "not_activated")]
    Company.objects.update(status="active")
    read_list()
    assert shown() == []


def test_what_left_the_list_is_shown_no_more(moscow: Company, yclients: LocalYClients) -> None:
    install(yclients, ALMATY)
    read_list()
    yclients.change(ALMATY, "uninstall")
    read_list()
    assert shown() == []


def test_the_list_is_read_page_by_page_and_goes_on_after_an_error(
    moscow: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 1)
    for salon_id in (EKATERINBURG, ALMATY):
        install(yclients, salon_id)
    Listing.objects.create(name=listing.NAME, next_at=timezone.now())
    listing.read_next()
    listing.read_next()
    yclients.fault("422", endpoint="salons")
    assert listing.read_next() is None
    row = Listing.objects.get()
    assert (row.page, row.listed) == (3, 2)
    assert "422" in row.last_error
    assert listing.due(limit=1) == []
    Listing.objects.update(next_at=timezone.now())
    while listing.due(limit=1):
        listing.read_next()
    row = Listing.objects.get()
    assert (row.page, row.listed, row.last_error) == (1, 3, "")
    assert row.next_at > timezone.now() + timedelta(hours=5)
    assert [salon_id for salon_id, _kind in shown()] == [EKATERINBURG, ALMATY]


def test_an_empty_list_ends_nothing(
    moscow: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(yclients, ALMATY)
    read_list()
    monkeypatch.setattr(YClients, "salons", lambda *_args, **_more: [])
    read_list()
    assert shown() == [(ALMATY, "unknown_here")]
    moscow.refresh_from_db()
    assert moscow.status == "active"


def page_of(count: int) -> list[dict[str, Any]]:
    return [{"salon_id": 1000 + number, "title": "Салон", "status": "active"} for number in range(count)]


@pytest.mark.parametrize("count", [1, 500])
def test_a_page_is_compared_and_stored_by_a_few_statements(
    count: int, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(YClients, "salons", lambda *_args, **_more: page_of(count))
    Listing.objects.create(name=listing.NAME, next_at=timezone.now())
    with CaptureQueriesContext(connection) as queries:
        listing.read_next()
    assert Discrepancy.objects.count() == count
    assert len(queries) <= 15, [query["sql"][:90] for query in queries]


def test_a_page_that_took_longer_than_its_claim_stores_nothing(
    yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_args: Any, **_more: Any) -> list[dict[str, Any]]:
        Listing.objects.update(claimed_until=timezone.now() + timedelta(minutes=1))  # another worker's by now
        return page_of(2)

    monkeypatch.setattr(YClients, "salons", slow)
    Listing.objects.create(name=listing.NAME, next_at=timezone.now())
    with pytest.raises(ClaimLost):
        listing.read_next()
    row = Listing.objects.get()
    assert (Discrepancy.objects.count(), row.page, row.listed) == (0, 1, 0)


def test_a_difference_that_comes_back_is_new_and_one_that_stays_keeps_its_beginning(
    yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(YClients, "salons", lambda *_args, **_more: page_of(2))
    read_list()
    long_ago = timezone.now() - timedelta(days=3)
    Discrepancy.objects.update(first_seen_at=long_ago)
    Discrepancy.objects.filter(salon_id=1001).update(resolved_at=long_ago)
    read_list()
    stays, comes_back = Discrepancy.objects.order_by("salon_id")
    assert stays.first_seen_at == long_ago
    assert comes_back.first_seen_at > long_ago
    assert shown() == [(1000, "unknown_here"), (1001, "unknown_here")]


def test_odd_rows_of_the_list_are_passed_over(
    moscow: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = [
        {},
        {"salon_id": None},
        {"salon_id": True},
        {"salon_id": "x"},
        {"id": "598114", "status": "active"},
    ]
    monkeypatch.setattr(YClients, "salons", lambda *_args, **_more: odd)
    read_list()
    assert shown() == [(ALMATY, "unknown_here")]


def test_the_first_list_is_read_some_minutes_after_the_first_look() -> None:
    assert listing.due(limit=1) == []
    assert listing.due(limit=1) == []
    Listing.objects.update(next_at=timezone.now())
    assert listing.due(limit=1) == [listing.NAME]
