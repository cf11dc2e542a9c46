"""Notifications through the operator endpoint, and the statuses that come back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from sandbox.yclients import MarketplaceError, SandboxYClients, Shape

from .conftest import KEY, SALON, TOKEN, Client, Product

PHONE = "+79990000000"
CALLBACK = f"/api/v1/sms/delivery/{TOKEN}"
PRICE = {"payment_sum": 0, "currency_iso": "RUB", "parts_amount": 1}


@pytest.fixture
async def active(yclients: SandboxYClients, client: Client) -> None:
    yclients.press_connect(SALON)
    await client.activate()


@pytest.mark.usefixtures("active")
async def test_a_notification_carries_the_salons_key_and_a_callback(
    yclients: SandboxYClients, product: Product
) -> None:
    product.answers = [web.json_response([{"id": "n1", "ext_id": "e1"}])]
    sent = await yclients.send_notification(SALON, PHONE, "Ждём вас", id="n1")
    path, headers, text = product.received[0]
    body = json.loads(text)
    assert (path, headers["Authorization"]) == ("/yclients/messages/", f"Bearer {KEY}")
    assert headers["Accept"] == "application/vnd.yclients.v2+json"
    assert body["destination_params"] == [{"id": "n1", "phone": PHONE}]
    assert (body["channel"], body["dispatch_type"]) == ("whatsapp", "service")
    assert body["delivery_callback_url"] == yclients.url + CALLBACK
    assert (sent.http_status, sent.ext_id, sent.error_code) == (200, "e1", None)


@pytest.mark.usefixtures("active")
async def test_the_body_can_be_spelled_in_other_ways(yclients: SandboxYClients, product: Product) -> None:
    shape = Shape(
        id_name="message_id", phone_name="to", as_object=True, auth="partner_token", name_salon=True
    )
    await yclients.send_notification(SALON, PHONE, "Ждём вас", id="n1", shape=shape)
    _, headers, text = product.received[0]
    assert json.loads(text)["destination_params"] == {"message_id": "n1", "to": PHONE}
    assert json.loads(text)["salon_id"] == SALON
    assert headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.usefixtures("active")
async def test_a_refusal_is_kept_with_its_code(yclients: SandboxYClients, product: Product) -> None:
    refusal = [{"id": "n1", "error_code": 10, "error_message": "phone"}]
    product.answers = [web.json_response(refusal, status=400)]
    sent = await yclients.send_notification(SALON, PHONE, "Ждём вас", id="n1")
    assert (sent.http_status, sent.error_code, sent.error_message) == (400, 10, "phone")
    assert len(product.received) == 1


async def test_a_salon_without_a_key_cannot_send(yclients: SandboxYClients) -> None:
    yclients.press_connect(SALON)
    with pytest.raises(MarketplaceError):
        await yclients.send_notification(SALON, PHONE, "Ждём вас")


@pytest.mark.usefixtures("active")
async def test_statuses_are_kept_in_order_and_shown(yclients: SandboxYClients, client: Client) -> None:
    await yclients.send_notification(SALON, PHONE, "Ждём вас", id="n1")
    for status in ({"status": 8, **PRICE}, {"status": 4}, {"status": 1, **PRICE}):
        assert (await client.post(CALLBACK, [{"id": "n1", **status}], headers={})).status == 200
    kept = (await client.get("/control/notifications/n1")).body
    assert [entry["status"] for entry in kept["statuses"]] == [8, 4, 1]
    page = await client.get("/notifications", headers={})
    assert "доставлено (1)" in page.body
    assert all(TOKEN not in call.path for call in yclients.journal.calls(endpoint="delivery_callback"))


@pytest.mark.usefixtures("active")
@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([], 422),
        ({"id": "n1", "status": 4}, 422),
        ([{"id": "n1", "status": 99}], 422),
        ([{"id": "n1", "status": 8}], 422),
        ([{"id": "n1", "status": 1, **PRICE, "payment_sum": None}], 422),
        ([{"id": "n1", "status": 4}, {"id": "stranger", "status": 4}], 404),
    ],
)
async def test_a_wrong_report_changes_nothing(
    yclients: SandboxYClients, client: Client, rows: Any, status: int
) -> None:
    await yclients.send_notification(SALON, PHONE, "Ждём вас", id="n1")
    assert (await client.post(CALLBACK, rows, headers={})).status == status
    assert yclients.notifications[0].statuses == []


async def test_a_report_with_a_wrong_token_is_refused(client: Client) -> None:
    answer = await client.post("/api/v1/sms/delivery/wrong", [{"id": "n1", "status": 4}], headers={})
    assert answer.status == 403


@pytest.mark.usefixtures("active")
async def test_several_destinations_go_in_one_request(client: Client, product: Product) -> None:
    product.answers = [
        web.json_response([{"id": "a", "ext_id": "1"}, {"id": "b", "error_code": 10, "error_message": "x"}])
    ]
    targets = [{"id": "a", "phone": PHONE}, {"id": "b", "phone": "0"}]
    body = {"salon_id": SALON, "text": "Ждём вас", "destinations": targets}
    answer = await client.post("/control/notifications", body)
    assert [row["ext_id"] for row in answer.body["notifications"]] == ["1", None]
    assert answer.body["notifications"][1]["error_code"] == 10
    assert answer.body["delivery"]["body"]["delivery_callback_url"] == "[stripped]"
