"""Nobody directs what a salon's clients write elsewhere unseen, nor alone where two are asked for."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from config.support_group import make_support_group
from marketplace.inbound import forwarding_changes
from marketplace.models import Company, MarketplaceEvent
from marketplace.models.forwarding import Forwarding, ForwardingChange
from tests.marketplace.salons_data import MOSCOW, connect_phone, make_active
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)
OLD = "https://bot.example.com/hook?token=very-secret"
NEW = "https://thief.example.net/hook?token=his-own"


@pytest.fixture
def moscow() -> Company:
    company = make_active(MOSCOW, title="Ножницы", phone="+74950000101")
    connect_phone(company)
    return company


@pytest.fixture
def row(moscow: Company) -> Forwarding:
    return Forwarding.objects.create(company=moscow, url=OLD, secret="s")


def staff(name: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(make_support_group())
    client = Client(headers={"Accept-Language": "ru"})
    client.force_login(user)
    return client


def set_address(client: Client, row: Forwarding, url: str) -> None:
    form = {"url": url, "enabled": "on"}
    assert client.post(f"/admin/marketplace/forwarding/{row.pk}/change/", form).status_code == 302


def decide(client: Client, word: str, change: ForwardingChange) -> str:
    path = f"/admin/marketplace/forwardingchange/operate/{word}/"
    answer: str = client.post(path, {"id": change.pk, "reason": "ok"}, follow=True).content.decode()
    return answer


def address() -> str:
    return Forwarding.objects.get().url


def test_both_hosts_are_in_the_history_and_no_secret_is(row: Forwarding) -> None:
    set_address(staff("olga"), row, NEW)
    event = MarketplaceEvent.objects.get(event_type="forwarding_changed")
    assert (event.event_data["host_before"], event.event_data["host_after"]) == (
        "bot.example.com",
        "thief.example.net",
    )
    assert event.event_data["by"] == "support: olga"
    message = LogEntry.objects.get().change_message
    assert "bot.example.com" in message
    assert "thief.example.net" in message
    assert "token" not in f"{message} {event.event_data}"


def test_the_salon_is_told_on_its_own_number(row: Forwarding) -> None:
    set_address(staff("olga"), row, NEW)
    told = Message.objects.get()
    assert (told.phone, told.session_id) == ("79990000900", row.company.session_id)
    assert "bot.example.com → thief.example.net" in told.text
    assert "token" not in told.text


def test_an_address_that_stays_tells_nobody_anything(row: Forwarding) -> None:
    set_address(staff("olga"), row, OLD)
    assert not Message.objects.exists()
    assert not ForwardingChange.objects.exists()


def test_with_two_persons_asked_for_the_old_address_holds_until_the_second_agrees(
    row: Forwarding, settings: Any
) -> None:
    settings.FORWARDING_SECOND_APPROVER = True
    olga, ivan = staff("olga"), staff("ivan")
    set_address(olga, row, NEW)
    change = ForwardingChange.objects.get()
    assert (change.state, address()) == ("waiting", OLD)
    assert not Message.objects.exists()
    assert "Одобрить должен другой сотрудник." in decide(olga, "approve", change)
    assert address() == OLD
    decide(ivan, "approve", change)
    change.refresh_from_db()
    assert (change.state, change.decided_by, address()) == ("applied", "support: ivan: ok", NEW)
    assert MarketplaceEvent.objects.get().event_data["approved_by"] == "support: ivan: ok"
    assert Message.objects.count() == 1


def test_a_new_forwarding_has_no_address_until_the_second_agrees(moscow: Company, settings: Any) -> None:
    settings.FORWARDING_SECOND_APPROVER = True
    form = {"salon": MOSCOW, "url": NEW, "enabled": "on"}
    assert staff("olga").post("/admin/marketplace/forwarding/add/", form).status_code == 200
    row = Forwarding.objects.get()
    assert (row.url, row.enabled) == ("", False)
    decide(staff("ivan"), "approve", ForwardingChange.objects.get())
    row.refresh_from_db()
    assert (row.url, row.enabled) == (NEW, True)


def test_a_rejected_address_is_never_used(row: Forwarding, settings: Any) -> None:
    settings.FORWARDING_SECOND_APPROVER = True
    set_address(staff("olga"), row, NEW)
    change = ForwardingChange.objects.get()
    ivan = staff("ivan")
    decide(ivan, "reject", change)
    assert "Решение уже принято." in decide(ivan, "approve", change)
    assert address() == OLD


def test_a_later_address_replaces_the_one_that_waits(row: Forwarding, settings: Any) -> None:
    settings.FORWARDING_SECOND_APPROVER = True
    olga = staff("olga")
    set_address(olga, row, NEW)
    first = ForwardingChange.objects.get()
    set_address(olga, row, "https://other.example.org/")
    with pytest.raises(forwarding_changes.Decided):
        forwarding_changes.approve(change=first, by="support: ivan")
    assert list(ForwardingChange.objects.values_list("state", flat=True)) == ["waiting", "replaced"]


def test_no_page_of_changes_shows_more_than_the_host(row: Forwarding) -> None:
    olga = staff("olga")
    set_address(olga, row, NEW)
    change = ForwardingChange.objects.get()
    for path in ("", f"{change.pk}/change/"):
        shown = olga.get(f"/admin/marketplace/forwardingchange/{path}").content.decode()
        assert "thief.example.net" in shown
        assert "his-own" not in shown
