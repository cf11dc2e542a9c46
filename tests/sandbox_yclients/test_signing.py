"""The signed link of the marketplace."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from sandbox.yclients import SandboxYClients
from sandbox.yclients.signing import encode_user_data, sign_user_data

from .conftest import OTHER_SALON, SALON, TOKEN, Product

USER = {"user_id": 123, "name": "Андрей Иванов", "email": "andrey@example.com", "phone": "79990009900"}
USER_DATA = (
    "eyJ1c2VyX2lkIjoxMjMsIm5hbWUiOiLQkNC90LTRgNC10Lkg0JjQstCw0L3QvtCyIiwiZW1haWwiOiJhbmRyZXlA"
    "ZXhhbXBsZS5jb20iLCJwaG9uZSI6Ijc5OTkwMDA5OTAwIn0="
)
SIGNATURE = "4c4e4694660399173ce165d761e59dd8da341cf0bb04673db21f28bb4153e950"


def test_user_data_and_signature_match_the_published_example() -> None:
    assert encode_user_data(USER) == USER_DATA
    assert sign_user_data(USER_DATA, TOKEN) == SIGNATURE


def test_one_salon_travels_as_salon_id(yclients: SandboxYClients, product: Product) -> None:
    url = urlsplit(yclients.press_connect(SALON))
    query = parse_qs(url.query)
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{product.url}/auth/yclients/redirect"
    assert query["salon_id"] == [str(SALON)]
    assert query["user_data_sign"] == [sign_user_data(query["user_data"][0], TOKEN)]


def test_several_salons_travel_as_an_indexed_list(yclients: SandboxYClients) -> None:
    query = parse_qs(urlsplit(yclients.press_connect(SALON, OTHER_SALON)).query)
    assert query["salon_ids[0]"] == [str(SALON)]
    assert query["salon_ids[1]"] == [str(OTHER_SALON)]
    assert "salon_id" not in query


def test_a_link_can_be_unsigned_or_forged(yclients: SandboxYClients) -> None:
    unsigned = parse_qs(urlsplit(yclients.press_connect(SALON, signature="none")).query)
    forged = parse_qs(urlsplit(yclients.press_connect(SALON, signature="wrong")).query)
    assert set(unsigned) == {"salon_id"}
    assert forged["user_data_sign"] != [sign_user_data(forged["user_data"][0], TOKEN)]
