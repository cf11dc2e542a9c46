"""Payments, tariffs, discounts, channels and sender names."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.yclients import SandboxYClients

from .conftest import APPLICATION, SALON, Client

PAYMENT = {
    "salon_id": SALON,
    "application_id": APPLICATION,
    "payment_sum": 990,
    "currency_iso": "RUB",
    "payment_date": "2025-07-13 12:00:00",
    "period_from": "2025-07-13 00:00:00",
    "period_to": "2025-08-13 00:00:00",
}
BASE = {"salon_id": SALON, "application_id": APPLICATION}


@pytest.fixture
async def active(yclients: SandboxYClients, client: Client) -> None:
    yclients.press_connect(SALON)
    assert (await client.activate()).status == 301


@pytest.mark.usefixtures("active")
async def test_a_payment_is_listed_and_can_be_refunded_once(client: Client) -> None:
    made = await client.post("/marketplace/partner/payment", PAYMENT)
    number = made.body["data"]["id"]
    refund = f"/marketplace/partner/payment/refund/{number}"
    assert (await client.post(refund, {})).status == 200
    assert (await client.post(refund, {})).status == 422
    (listed,) = (await client.status()).body["data"]["payments"]
    assert (listed["id"], listed["payment_sum"], listed["is_refunded"]) == (number, 990, True)


@pytest.mark.usefixtures("active")
async def test_the_same_payment_twice_is_two_payments(client: Client) -> None:
    numbers = [(await client.post("/marketplace/partner/payment", PAYMENT)).body["data"]["id"] for _ in "12"]
    assert len(set(numbers)) == 2


@pytest.mark.usefixtures("active")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payment_sum", -1),
        ("payment_sum", "990"),
        ("currency_iso", "rub"),
        ("payment_date", "2025-07-13T12:00:00"),
        ("period_to", "2025-01-01 00:00:00"),
    ],
)
async def test_a_wrong_payment_is_refused_by_field(client: Client, field: str, value: Any) -> None:
    answer = await client.post("/marketplace/partner/payment", {**PAYMENT, field: value})
    assert answer.status == 422
    assert list(answer.body["meta"]["errors"]) == [field]


async def test_a_salon_that_is_not_connected_cannot_be_paid_for(client: Client) -> None:
    assert (await client.post("/marketplace/partner/payment", PAYMENT)).status == 404
    assert (await client.post("/marketplace/partner/payment/refund/1", {})).status == 404


async def test_a_payment_link_leads_to_a_page_while_there_are_tariffs(client: Client) -> None:
    path = f"/marketplace/application/payment_link?salon_id={SALON}&application_id={APPLICATION}&discount=10"
    url = (await client.get(path)).body["data"]["url"]
    assert url.endswith(f"/pay?salon_id={SALON}&discount=10")
    tariffs = await client.get(f"/marketplace/application/{APPLICATION}/tariffs")
    assert tariffs.body["data"][0]["options"][0]["overall_price"] > 0
    await client.call("PUT", "/control/tariffs", {"tariffs": []})
    assert (await client.get(path)).status == 404


@pytest.mark.usefixtures("active")
async def test_channel_names_and_discount_are_kept(yclients: SandboxYClients, client: Client) -> None:
    channel = {**BASE, "channel_slug": "whatsapp", "is_available": False}
    names = {**BASE, "short_names": ["LINIYA"]}
    discount = {"salon_ids": [SALON], "application_id": APPLICATION, "discount": 15}
    assert (await client.post("/marketplace/application/update_channel", channel)).status == 200
    assert (await client.post("/marketplace/partner/short_names", names)).status == 200
    assert (await client.post("/marketplace/application/add_discount", discount)).status == 200
    install = yclients.installation(SALON)
    assert (install.channels, install.short_names, install.discount) == ({"whatsapp": False}, ["LINIYA"], 15)


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("application/update_channel", {"channel_slug": "fax"}, ["channel_slug", "is_available"]),
        ("partner/short_names", {"short_names": [""]}, ["short_names"]),
        ("application/add_discount", {"salon_ids": [], "discount": 101}, ["salon_ids", "discount"]),
    ],
)
async def test_their_wrong_fields_are_named(
    client: Client, path: str, body: dict[str, Any], fields: list[str]
) -> None:
    answer = await client.post(f"/marketplace/{path}", {**BASE, **body})
    assert answer.status == 422
    assert list(answer.body["meta"]["errors"]) == fields
