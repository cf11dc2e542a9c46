"""Attacks on a salon's ownership: a valid signature of somebody, and the number of a salon that is not his.

The signature of a link does not cover the salon's number, so everybody with a YClients account can make one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from marketplace.models import AccessRequest, Company, MarketplaceEvent, RegistrationCheck
from marketplace.salons import access, activation, lifecycle, registration_checks
from onboarding.linking import tokens
from tests.marketplace.local_yclients import LocalYClients, local_yclients
from tests.marketplace.salons_data import make_active
from tests.onboarding.arrivals import come, sign, token_of
from whatsapp.models import Message, Pool, Session

pytestmark = pytest.mark.django_db(transaction=True)

SALON, BRANCH = 307626, 412870
OWNER, STRANGER = {"user_id": 1, "name": "Анна"}, {"user_id": 666, "name": "Чужой"}
PHONE = "79990001122"


@pytest.fixture
def yclients(settings: Any) -> Iterator[LocalYClients]:
    """YClients, where both salons have pressed "Connect"; a pool runs."""
    with local_yclients() as there:
        settings.YCLIENTS_API_URL, settings.YCLIENTS_MARKETPLACE_URL = there.url, there.marketplace_url
        there.press_connect(SALON)
        there.press_connect(BRANCH)
        Pool.objects.create(name="pool", heartbeat_at=timezone.now() + timedelta(hours=1), capacity=1)
        yield there


def visit(user: dict[str, Any] | None = OWNER, *salons: int) -> Any:
    """Come by a link for these salons, signed when there is a user."""
    query: dict[str, Any] = {f"salon_ids[{i}]": salon for i, salon in enumerate(salons or (SALON,))}
    return come({**query, **(sign(user) if user else {})})


def bearer(response: Any) -> dict[str, str]:
    token_of(response)
    return {"Authorization": f"Bearer {response['Location'].partition('=')[2]}", "Accept-Language": "en"}


def ask_for_qr(headers: dict[str, str]) -> Any:
    return Client().post("/marketplace/api/qr", {}, content_type="application/json", headers=headers)


def owned(status: str, **fields: Any) -> Company:
    """The owner's salon, once activated, its phone linked."""
    session = Session.objects.create(
        status="connected",
        wanted="linked",
        jid=f"{PHONE}:1@s.whatsapp.net",
        phone=PHONE,
        paired_at=timezone.now(),
    )
    return make_active(SALON, status=status, session=session, marketplace_user_id="1", **fields)


def logged_out(company: Company) -> Company:
    Session.objects.filter(companies=company).update(status="logged_out", jid="", phone="")
    return company


def install(yclients: LocalYClients, *, frozen: bool = False) -> None:
    """What YClients says of an activated salon."""
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=SALON, api_key="k", webhook_urls=[], channels=["whatsapp"]
        )
    )
    if frozen:
        yclients.change(SALON, "freeze")


def unchanged(before: Company) -> None:
    after = Company.objects.get(pk=before.pk)
    names = ("status", "session_id", "marketplace_user_id", "api_key", "registered_at", "activated_at")
    assert [getattr(after, name) for name in names] == [getattr(before, name) for name in names]


# --- a salon that was ever activated ---


@pytest.mark.parametrize("status", ["active", "frozen", "activation_failed", "pending_whatsapp"])
@pytest.mark.parametrize("user", [STRANGER, None, {}])
def test_a_stranger_gets_no_token_for_a_salon_that_was_ever_activated(
    yclients: LocalYClients, settings: Any, status: str, user: dict[str, Any] | None
) -> None:
    settings.YCLIENTS_REQUIRE_SIGNATURE = False
    company = logged_out(owned(status))
    response = visit(user)
    assert response.status_code == 403
    assert b"token=" not in response.content
    unchanged(company)
    assert not MarketplaceEvent.objects.filter(event_type="registration_started").exists()
    assert Session.objects.get().pairing_requested_at is None


def test_the_stranger_reads_whose_it_is_and_two_ways_on(yclients: LocalYClients, settings: Any) -> None:
    settings.SUPPORT_EMAIL = "help@example.com"
    owned("active")
    page = visit(STRANGER).content.decode()
    assert "belongs to the YClients user who activated it" in page
    assert "Send the link to the salon" in page
    number = AccessRequest.objects.get().pk
    assert f"request {number}" in page
    assert f'href="mailto:help@example.com?subject=Request%20{number}"' in page
    assert PHONE not in page


def test_the_owner_comes_back_to_relink(yclients: LocalYClients) -> None:
    install(yclients)
    logged_out(owned("active"))
    headers = bearer(visit(OWNER))
    Session.objects.update(status="qr", qr="2@abc", qr_expires_at=timezone.now() + timedelta(minutes=1))
    assert ask_for_qr(headers).json()["qr"] == "2@abc"
    assert Company.objects.get().marketplace_user_id == "1"


def test_a_replayed_link_shows_a_connected_salon_and_nothing_more(yclients: LocalYClients) -> None:
    install(yclients)
    company = owned("active")
    headers = bearer(visit(OWNER))
    shown = Client().get(f"/marketplace/api/status/company_{SALON}", headers=headers)
    assert shown.json()["connected"] is True
    assert PHONE not in shown.content.decode()
    assert ask_for_qr(headers).status_code == 409
    session = Session.objects.get(companies=company)
    assert (session.wanted, session.phone) == ("linked", PHONE)


def test_a_strangers_link_with_a_salon_of_his_own_covers_that_one_alone(yclients: LocalYClients) -> None:
    victim = owned("active")
    for order in ((BRANCH, SALON), (SALON, BRANCH)):
        assert token_of(visit(STRANGER, *order)).salon_ids == (BRANCH,)
    unchanged(victim)
    assert Company.objects.filter(session=victim.session_id).get() == victim


def test_a_removed_salon_that_is_installed_again_is_given_anew(yclients: LocalYClients) -> None:
    owned("active")
    with transaction.atomic():
        lifecycle.uninstall(Company.objects.get(), by="test")
    token_of(visit(STRANGER))
    company = Company.objects.get()
    assert (company.status, company.marketplace_user_id) == ("pending_whatsapp", "666")
    assert company.session is not None
    assert not company.session.is_linked


def test_a_removed_salon_is_nobody_elses_while_yclients_cannot_be_asked(yclients: LocalYClients) -> None:
    company = make_active(SALON, marketplace_user_id="1", status="uninstalled", session=None)
    Company.objects.update(uninstalled_at=timezone.now(), **Company.WITHOUT_SECRETS)
    yclients.fault("down")
    assert visit(STRANGER).status_code == 403
    company.refresh_from_db()
    assert (company.status, company.marketplace_user_id) == ("uninstalled", "1")
    token_of(visit(OWNER))


# --- a salon that was never activated ---


def test_the_first_signed_user_gets_it_and_the_second_stops_everything(yclients: LocalYClients) -> None:
    first = bearer(visit(OWNER))
    Session.objects.update(
        status="qr", wanted="linked", qr="2@abc", qr_expires_at=timezone.now() + timedelta(minutes=1)
    )
    second = visit(STRANGER)
    assert second.status_code == 403
    assert "a second YClients user came for it" in second.content.decode()
    answer = ask_for_qr(first)
    assert (answer.status_code, answer.json()["code"]) == (409, "disputed")
    shown = Client().get(f"/marketplace/api/status/company_{SALON}", headers=first).json()
    assert (shown["disputed"], shown["hasQR"]) == (True, False)
    assert "Two YClients users" in shown["message"]
    session = Session.objects.get()
    assert (session.wanted, session.qr) == ("stopped", "")
    assert visit(OWNER).status_code == 403
    assert Company.objects.get().marketplace_user_id == "1"


def test_a_disputed_salon_is_not_activated_though_its_phone_is_linked(yclients: LocalYClients) -> None:
    token_of(visit(OWNER))
    visit(STRANGER)
    Session.objects.update(status="connected", jid=f"{PHONE}:1@s.whatsapp.net", phone=PHONE)
    assert activation.due(limit=10) == []
    with pytest.raises(activation.NotAwaiting):
        activation.activate(company=Company.objects.get(), cause="test", wait=0)
    assert yclients.calls("activation") == []


def test_an_unsigned_link_takes_nothing_that_was_given(yclients: LocalYClients, settings: Any) -> None:
    settings.YCLIENTS_REQUIRE_SIGNATURE = False
    token_of(visit(OWNER))
    assert visit(None).status_code == 403


def test_a_signed_user_takes_over_from_an_unsigned_visitor(yclients: LocalYClients, settings: Any) -> None:
    settings.YCLIENTS_REQUIRE_SIGNATURE = False
    unsigned = bearer(visit(None))
    token_of(visit(OWNER))
    assert ask_for_qr(unsigned).status_code == 401


@pytest.mark.parametrize(("chosen", "owner"), [("666", "666"), ("1", "1")])
def test_support_ends_the_dispute_and_the_other_user_stays_out(
    yclients: LocalYClients, chosen: str, owner: str
) -> None:
    first = bearer(visit(OWNER))
    visit(STRANGER)
    Session.objects.update(status="connected", jid=f"{PHONE}:1@s.whatsapp.net", phone=PHONE)
    access.approve(AccessRequest.objects.get(user_id=chosen), by="support: anna")
    company = Company.objects.get()
    assert (company.marketplace_user_id, company.disputed_at) == (owner, None)
    winner, loser = (STRANGER, OWNER) if chosen == "666" else (OWNER, STRANGER)
    token_of(visit(winner))
    assert visit(loser).status_code == 403
    assert Company.objects.get().disputed_at is None
    if chosen == "666":
        assert ask_for_qr(first).status_code == 401
        assert company.session is not None
        assert not company.session.is_linked
        assert Session.objects.exclude(companies=company).get().wanted == "unlinked"


@pytest.mark.parametrize("worker", [True, False])
def test_yclients_ends_the_dispute_by_saying_that_the_installation_is_over(
    yclients: LocalYClients, worker: bool
) -> None:
    token_of(visit(OWNER))
    visit(STRANGER)
    yclients.change(SALON, "uninstall")
    if worker:
        RegistrationCheck.objects.update(next_attempt_at=timezone.now())
        registration_checks.check(RegistrationCheck.objects.get(state="checking").pk)
    else:
        assert visit(OWNER).status_code == 403
    yclients.press_connect(SALON)
    token_of(visit(STRANGER))
    assert Company.objects.get().marketplace_user_id == "666"


def test_a_strangers_further_salons_are_claimed_only_when_yclients_agrees(yclients: LocalYClients) -> None:
    yclients.change(SALON, "uninstall")
    token_of(visit(STRANGER, BRANCH, SALON))
    for check_id in registration_checks.CHECKS.due(limit=10):
        registration_checks.check(check_id)
    yclients.press_connect(SALON)
    token_of(visit(OWNER))
    assert Company.objects.get(salon_id=SALON).marketplace_user_id == "1"


# --- a suspended salon ---


def test_a_suspended_salons_owner_reads_what_to_pay_and_a_stranger_does_not(yclients: LocalYClients) -> None:
    install(yclients, frozen=True)
    owned("active")
    page = visit(OWNER)
    assert page.status_code == 200
    assert "suspended until it is paid for" in page.content.decode()
    assert "/auth/yclients/payment?salon=" in page.content.decode()
    assert Company.objects.get().status == "frozen"
    assert visit(STRANGER).status_code == 403


def test_a_forged_payment_address_leads_nowhere(yclients: LocalYClients) -> None:
    assert Client().get("/auth/yclients/payment", {"salon": f"{SALON}:abc:def"}).status_code == 400
    assert yclients.calls() == []


# --- the two ways on ---


def test_support_lets_a_second_owner_in_for_an_hour_and_the_first_stays_owner(
    yclients: LocalYClients, settings: Any
) -> None:
    install(yclients)
    logged_out(owned("active"))
    visit(STRANGER)
    access.approve(AccessRequest.objects.get(), by="support: anna")
    headers = bearer(visit(STRANGER))
    Session.objects.update(status="qr", qr="2@abc", qr_expires_at=timezone.now() + timedelta(minutes=1))
    assert ask_for_qr(headers).status_code == 200
    assert Company.objects.get().marketplace_user_id == "1"
    assert MarketplaceEvent.objects.get(event_type="access_approved").event_data["by"] == "support: anna"
    AccessRequest.objects.update(approved_until=timezone.now() - timedelta(seconds=1))
    assert ask_for_qr(headers).status_code == 401
    assert visit(STRANGER).status_code == 403


def send_link(page: Any) -> Any:
    form = page.content.decode().partition('name="request" value="')[2].partition('"')[0]
    return Client().post("/auth/yclients/access/link", {"request": form}, headers={"Accept-Language": "en"})


def link_in_whatsapp() -> str:
    message = Message.objects.latest("pk")
    assert message.phone == PHONE
    return next(word for word in message.text.split() if "/auth/yclients/access?link=" in word)


def test_the_salons_own_whatsapp_lets_its_holder_in_once(yclients: LocalYClients) -> None:
    install(yclients)
    owned("active")
    assert send_link(visit(STRANGER)).status_code == 200
    path, _, token = link_in_whatsapp().partition("?link=")
    assert token not in str(list(AccessRequest.objects.values()))
    address = path[path.index("/auth") :]
    for _ in range(2):  # programs that look at links use nothing up
        assert Client().get(address, {"link": token}).status_code == 200
    opened = Client().post(address, {"link": token})
    assert opened.status_code == 302
    assert token not in str(list(Message.objects.values()))
    registrant = tokens.verify(opened["Location"].partition("token=")[2])
    assert registrant.salon_ids == (SALON,)
    headers = {"Authorization": f"Bearer {opened['Location'].partition('token=')[2]}"}
    assert Client().get(f"/marketplace/api/status/company_{SALON}", headers=headers).status_code == 200
    assert Client().post(address, {"link": token}).status_code == 403
    assert visit(STRANGER).status_code == 403  # the link gave its power to whoever opened it
    AccessRequest.objects.update(link_used_at=timezone.now() - timedelta(minutes=61))
    assert Client().get(f"/marketplace/api/status/company_{SALON}", headers=headers).status_code == 401


def test_links_are_few_short_lived_and_for_connected_salons_only(yclients: LocalYClients) -> None:
    install(yclients)
    company = owned("active")
    page = visit(STRANGER)
    assert send_link(page).status_code == 200
    assert send_link(page).status_code == 429
    MarketplaceEvent.objects.filter(event_type="access_link_sent").update(
        created_at=timezone.now() - timedelta(minutes=2)
    )
    for _ in range(2):
        company.note("access_link_sent")
    MarketplaceEvent.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    assert send_link(page).status_code == 429
    token = link_in_whatsapp().partition("?link=")[2]
    AccessRequest.objects.update(link_expires_at=timezone.now() - timedelta(seconds=1))
    assert Client().post("/auth/yclients/access", {"link": token}).status_code == 403
    for request_id in access.expired(limit=10):
        access.expire(request_id)
    assert token not in str(list(Message.objects.values()))
    assert access.expired(limit=10) == []
    Session.objects.update(status="reconnecting")
    MarketplaceEvent.objects.all().delete()
    assert send_link(page).status_code == 409


@pytest.mark.parametrize("link", ["", "x", "a" * 5000, "\x00", "é"])
def test_a_guessed_link_opens_nothing(yclients: LocalYClients, link: str) -> None:
    owned("active")
    AccessRequest.objects.create(company=Company.objects.get(), holder="h", asked_at=timezone.now())
    assert Client().get("/auth/yclients/access", {"link": link}).status_code == 403
    assert Client().post("/auth/yclients/access", {"link": link}).status_code == 403


def test_a_forged_form_sends_nothing(yclients: LocalYClients) -> None:
    owned("active")
    for form in ("", "1", "1:abc:def"):
        assert Client().post("/auth/yclients/access/link", {"request": form}).status_code == 400
    assert not Message.objects.exists()
