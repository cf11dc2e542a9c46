"""The way in from the marketplace: what is believed, and what is refused in words."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from marketplace.models import Company, MarketplaceEvent, RegistrationCheck
from tests.marketplace.local_yclients import LocalYClients, local_yclients
from tests.onboarding.arrivals import come, sign, token_of

pytestmark = pytest.mark.django_db(transaction=True)

MOSCOW, KAZAN = 307626, 412870
# From the API reference's example: the signature is over the decoded bytes.
GOLDEN_TOKEN = "2t6u73mrh85btb8wgyfj"
GOLDEN_DATA = (
    "eyJ1c2VyX2lkIjoxMjMsIm5hbWUiOiLQkNC90LTRgNC10Lkg0JjQstCw0L3QvtCyIiwiZW1haWwiOiJhbmRyZXlAZXhhbXBsZS5jb20i"
    "LCJwaG9uZSI6Ijc5OTkwMDA5OTAwIn0="
)
GOLDEN_SIGN = "4c4e4694660399173ce165d761e59dd8da341cf0bb04673db21f28bb4153e950"


@pytest.fixture
def yclients(settings: Any) -> Iterator[LocalYClients]:
    """YClients, where Moscow and Kazan have pressed "Connect"."""
    with local_yclients() as there:
        settings.YCLIENTS_API_URL, settings.YCLIENTS_MARKETPLACE_URL = there.url, there.marketplace_url
        there.press_connect(MOSCOW)
        there.press_connect(412870)
        yield there


def test_a_signed_link_leads_to_the_page(yclients: LocalYClients) -> None:
    response = come({"salon_id": MOSCOW, **sign({"user_id": 123, "name": "Андрей"})})
    company = Company.objects.get(salon_id=MOSCOW)
    assert token_of(response).company_id == company.pk
    assert (company.status, company.marketplace_user_name) == ("pending_whatsapp", "Андрей")
    assert MarketplaceEvent.objects.filter(salon_id=MOSCOW, event_type="registration_started").count() == 1
    assert "no-store" in response["Cache-Control"]
    assert response["Referrer-Policy"] == "no-referrer"


def test_the_official_example_is_accepted(yclients: LocalYClients, settings: Any) -> None:
    settings.YCLIENTS_PARTNER_TOKEN = GOLDEN_TOKEN
    settings.YCLIENTS_VERIFY_INSTALLATION = False
    data = GOLDEN_DATA.replace("+", " ")
    token_of(come({"salon_id": MOSCOW, "user_data": data, "user_data_sign": GOLDEN_SIGN}))
    assert Company.objects.get(salon_id=MOSCOW).marketplace_user_id == "123"


@pytest.mark.parametrize(
    "query",
    [
        f"salon_ids[0]={MOSCOW}&salon_ids[1]={KAZAN}",
        f"salon_ids%5B0%5D={MOSCOW}&salon_ids%5B1%5D={KAZAN}",
        f"salon_ids[]={MOSCOW}&salon_ids[]={KAZAN}",
        f"salon_ids={MOSCOW}&salon_ids={KAZAN}",
        f"salon_id={MOSCOW}&salon_ids[]={MOSCOW}&salon_ids[]={KAZAN}",
    ],
)
def test_several_branches_share_one_token(yclients: LocalYClients, query: str) -> None:
    registrant = token_of(come(f"{query}&{urlencode(sign({}))}"))
    assert registrant.salon_ids == (MOSCOW, KAZAN)
    assert set(RegistrationCheck.objects.values_list("company__salon_id", "state")) == {
        (MOSCOW, "details"),
        (KAZAN, "checking"),
    }


@pytest.mark.parametrize(
    "query",
    [
        "",
        "salon_id=",
        "salon_id=0",
        "salon_id=-5",
        "salon_id=1e5",
        "salon_id=%2012",
        "salon_id=007",
        "salon_id=１２",
        "salon_id=12%00",
        "salon_id=9999999999999999999999",
        "salon_id=" + "9" * 5000,
        "salon_id=1&salon_id=2",
        "salon_id=1&salon_id=1",
        "salon_ids[0]=1&salon_ids[1]=x",
        "salon_ids[a]=1",
        "&".join(f"salon_ids[]={n}" for n in range(1, 60)),
        "salon_id=5&user_data=a&user_data=b",
        f"salon_id=5&x={'y' * 20000}",
        "salon_id=abc",
    ],
)
def test_a_link_without_a_clear_salon_is_refused(query: str) -> None:
    response = come(query)
    assert response.status_code == 400
    assert "press “Connect” again" in response.content.decode()
    assert "yclients.com/appstore" in response.content.decode()
    assert not Company.objects.exists()


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    "changed",
    [
        {"user_data_sign": "0" * 64},
        {"user_data_sign": "nonsense"},
        {"user_data_sign": "é"},
        {"user_data": base64.b64encode(b'{"user_id": 666}').decode()},
        {"user_data": "%%%"},
        {"user_data": ""},
        sign({"user_id": 1}, key="another-partner-token"),
    ],
)
def test_a_wrong_signature_is_always_refused(settings: Any, changed: dict[str, str], required: bool) -> None:
    settings.YCLIENTS_REQUIRE_SIGNATURE = required
    response = come({"salon_id": MOSCOW, **sign({"user_id": 1}), **changed})
    assert response.status_code == 403
    assert "could not be verified" in response.content.decode()
    assert not Company.objects.exists()


def test_signed_nonsense_is_a_bad_link() -> None:
    assert come({"salon_id": MOSCOW, **sign(b"not json")}).status_code == 400


def test_an_unsigned_link_is_refused_where_signatures_are_required(settings: Any) -> None:
    settings.YCLIENTS_REQUIRE_SIGNATURE = True
    assert come({"salon_id": MOSCOW}).status_code == 403
    assert come({"salon_id": MOSCOW, "user_data": GOLDEN_DATA}).status_code == 403
    assert not Company.objects.exists()


def test_what_nobody_signed_is_not_believed(yclients: LocalYClients, settings: Any) -> None:
    settings.YCLIENTS_REQUIRE_SIGNATURE = False
    token_of(come({"salon_id": MOSCOW, "user_data": GOLDEN_DATA}))
    company = Company.objects.get(salon_id=MOSCOW)
    assert (company.marketplace_user_id, company.marketplace_user_name) == ("", "")


def test_another_salon_behind_a_good_signature_is_refused(yclients: LocalYClients) -> None:
    response = come({"salon_id": 598114, **sign({"user_id": 123})})
    assert response.status_code == 403
    assert "not connecting the application" in response.content.decode()
    assert not Company.objects.exists()


def test_an_unsigned_link_does_not_pass_while_yclients_is_silent(settings: Any) -> None:
    settings.YCLIENTS_REQUIRE_SIGNATURE = False
    response = come({"salon_id": MOSCOW})
    assert response.status_code == 403
    assert "YClients does not answer" in response.content.decode()


@pytest.mark.parametrize("token", ["", "test_token_waiting_for_real", "changeme"])
def test_without_a_partner_token_the_service_says_so(settings: Any, token: str) -> None:
    settings.YCLIENTS_PARTNER_TOKEN = token
    response = come({"salon_id": MOSCOW})
    assert response.status_code == 503
    assert response["Retry-After"]
    assert "not ready yet" in response.content.decode()


def test_only_a_visit_registers() -> None:
    for method in ("post", "head", "put", "delete"):
        assert getattr(Client(), method)(f"/auth/yclients/redirect?salon_id={MOSCOW}").status_code == 405
    assert not Company.objects.exists()


def test_russian_is_the_language_of_those_who_say_nothing() -> None:
    page = Client().get("/auth/yclients/redirect").content.decode()
    assert "Ссылка неполная" in page
    assert "Вернуться в YClients" in page
