"""Into the cabinet by a one-time link to the salon's own WhatsApp."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from config.shared import rate_limits
from marketplace.models import AccessRequest, Company, MarketplaceEvent
from marketplace.salons import access
from onboarding.cabinet import links, sessions
from tests.onboarding.cabinet.owners import PHONE, owned_salon
from whatsapp.models import Message, Session

pytestmark = pytest.mark.django_db(transaction=True)

ASK, LINK = "/cabinet/link/ask", "/cabinet/link"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the answer's fixed time; each begins with no links counted."""
    monkeypatch.setattr(links, "ANSWER_SECONDS", 0.0)
    rate_limits.forget()


def ask(salon: object = 307626, client: Client | None = None) -> Any:
    return (client or Client()).post(ASK, {"salon": str(salon)})


def token() -> str:
    return Message.objects.order_by("-pk")[0].text.partition("?link=")[2].split()[0]


def test_the_link_goes_to_the_salons_own_whatsapp_and_opens_the_cabinet_once() -> None:
    salon = owned_salon()
    ask()
    message = Message.objects.get()
    assert message.phone == PHONE
    link = token()
    for _ in range(2):  # programs that look at links use nothing up
        assert Client().get(LINK, {"link": link}).status_code == 200
    client = Client()
    response = client.post(LINK, {"link": link})
    assert response["Location"] == f"/cabinet/{salon.salon_id}/"
    assert client.get(response["Location"]).status_code == 200
    assert Client().post(LINK, {"link": link}).status_code == 403
    assert link not in str(list(Message.objects.values()))
    assert MarketplaceEvent.objects.filter(event_type="cabinet_opened", event_data__by="cabinet").exists()


def test_the_links_power_ends_after_an_hour() -> None:
    salon = owned_salon()
    ask()
    client = Client()
    client.post(LINK, {"link": token()})
    AccessRequest.objects.update(link_used_at=timezone.now() - timedelta(minutes=61))
    assert client.get(f"/cabinet/{salon.salon_id}/")["Location"] == "/cabinet/"


def test_a_strangers_later_link_does_not_end_a_session_that_is_in_use() -> None:
    salon = owned_salon()
    ask()
    client = Client()
    client.post(LINK, {"link": token()})
    MarketplaceEvent.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    ask()
    assert Message.objects.count() == 2
    assert client.get(f"/cabinet/{salon.salon_id}/").status_code == 200


def test_the_answer_is_the_same_whatever_was_typed() -> None:
    owned_salon()
    typed = [307626, 307626, 999, "", "x", "-1", "1" * 30, "٣٠٧٦٢٦", "№ 307626"]
    answers = {(r.status_code, r["Location"], r.content) for r in map(ask, typed[:5])}
    rate_limits.forget()
    answers |= {(r.status_code, r["Location"], r.content) for r in map(ask, typed[5:])}
    assert answers == {(303, "/cabinet/?sent", b"")}
    assert Message.objects.count() == 1


@pytest.mark.parametrize(
    "lost",
    [
        {"status": "uninstalled", "api_key": "", "api_key_digest": None},
        {"disputed_at": timezone.now()},
        {"status": "pending_whatsapp", "activated_at": None, "api_key": "", "api_key_digest": None},
    ],
)
def test_no_link_is_sent_for_a_salon_that_nobody_may_enter_so(lost: dict[str, Any]) -> None:
    owned_salon()
    Company.objects.update(**lost)
    ask()
    assert not Message.objects.exists()
    assert not AccessRequest.objects.exists()


def test_no_link_is_sent_while_whatsapp_is_not_connected() -> None:
    owned_salon()
    Session.objects.update(status="reconnecting")
    ask()
    assert not Message.objects.exists()


def test_a_salon_gets_few_links_a_day_whoever_asks() -> None:
    salon = owned_salon()
    for _ in range(10):
        MarketplaceEvent.objects.update(created_at=timezone.now() - timedelta(hours=2))
        rate_limits.forget()
        ask()
    assert Message.objects.count() == access.MOST_CABINET_LINKS_A_DAY
    AccessRequest.objects.update(asked_at=timezone.now() - timedelta(days=2))
    MarketplaceEvent.objects.update(created_at=timezone.now() - timedelta(hours=2))
    ask()
    assert AccessRequest.objects.filter(company=salon).count() == 1  # old ones are forgotten


def test_a_client_address_asks_only_so_often() -> None:
    owned_salon()
    answers = [ask(n).status_code for n in range(1, 7)]
    assert answers == [303] * 5 + [429]


def test_another_site_cannot_ask_for_links() -> None:
    owned_salon()
    assert ask(client=Client(enforce_csrf_checks=True)).status_code == 403
    assert not Message.objects.exists()


def test_a_link_that_ran_out_opens_nothing() -> None:
    owned_salon()
    ask()
    link = token()
    AccessRequest.objects.update(link_expires_at=timezone.now() - timedelta(seconds=1))
    client = Client()
    assert client.get(LINK, {"link": link}).status_code == 403
    assert client.post(LINK, {"link": link}).status_code == 403
    assert sessions.cookie_name() not in client.cookies


@pytest.mark.parametrize("link", ["", "x", "a" * 5000, "\x00", "é"])
def test_a_guessed_link_opens_nothing(link: str) -> None:
    owned_salon()
    assert Client().post(LINK, {"link": link}).status_code == 403
