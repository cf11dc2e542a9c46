"""What the sandbox sends by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from sandbox.yclients import EntityEvent, MarketplaceError, SandboxYClients
from sandbox.yclients.sender import DeliveryState

from .conftest import APPLICATION, SALON, TOKEN, Client, Product

CAPTURED_FIELDS = """
    attendance client clients_count comer comment company_id composite confirmed create_date date datetime
    deleted documents goods_transactions id is_update_blocked last_change_date length online paid_full
    prepaid record_labels seance_length services short_link sms_remain_hours staff staff_id visit_attendance
    visit_id
"""


def bodies(product: Product) -> list[dict[str, Any]]:
    return [json.loads(text) for _, _, text in product.received]


@pytest.fixture
async def active(yclients: SandboxYClients, client: Client, product: Product) -> None:
    yclients.press_connect(SALON)
    await client.activate(webhook_urls=[f"{product.url}/webhook/yclients/private-part"])


async def test_a_lifecycle_event_names_salon_application_and_token(
    yclients: SandboxYClients, product: Product
) -> None:
    (delivery,) = await yclients.send_lifecycle(SALON, "freeze")
    assert product.received[0][0] == "/webhook/yclients"
    assert bodies(product) == [
        {"salon_id": SALON, "application_id": APPLICATION, "event": "freeze", "partner_token": TOKEN}
    ]
    assert (delivery.state, delivery.last_status) == (DeliveryState.DELIVERED, 200)
    assert delivery.body["partner_token"] == "[stripped]"


async def test_some_senders_write_event_type(client: Client, product: Product) -> None:
    body = {"salon_id": SALON, "event": "payment", "name_field": "event_type", "partner_token": "forged"}
    answer = await client.post("/control/webhooks/lifecycle", body)
    assert answer.body["deliveries"][0]["last_status"] == 200
    assert bodies(product)[0]["event_type"] == "payment"
    assert bodies(product)[0]["partner_token"] == "forged"


async def test_a_refused_webhook_is_tried_three_times(yclients: SandboxYClients, product: Product) -> None:
    product.answers = [web.Response(status=500) for _ in range(5)]
    (delivery,) = await yclients.send_lifecycle(SALON, "uninstall")
    assert [attempt.status for attempt in delivery.attempts] == [500, 500, 500]
    assert delivery.state is DeliveryState.FAILED


async def test_a_retry_ends_with_the_first_success(yclients: SandboxYClients, product: Product) -> None:
    product.answers = [web.Response(status=503)]
    (delivery,) = await yclients.send_lifecycle(SALON, "uninstall")
    assert [attempt.status for attempt in delivery.attempts] == [503, 200]


async def test_patience_has_an_end(yclients: SandboxYClients, product: Product) -> None:
    product.silent = True
    yclients.context.sender.patience = 0.5
    (delivery,) = await yclients.send_lifecycle(SALON, "uninstall")
    assert [attempt.status for attempt in delivery.attempts] == [None] * 3
    assert delivery.attempts[0].error == "No answer within 0.5 s."
    assert len(product.received) == 3


async def test_an_address_where_nobody_listens_is_noted(yclients: SandboxYClients) -> None:
    yclients.settings.product_url = "http://127.0.0.1:1"
    (delivery,) = await yclients.send_lifecycle(SALON, "uninstall")
    assert [attempt.status for attempt in delivery.attempts] == [None] * 3
    assert delivery.attempts[0].error


@pytest.mark.usefixtures("active")
async def test_a_record_looks_as_captured_and_goes_to_the_registered_address(
    yclients: SandboxYClients, product: Product
) -> None:
    (delivery,) = await yclients.send_entities(SALON, [EntityEvent()])
    (body,) = bodies(product)
    assert product.received[0][0] == "/webhook/yclients/private-part"
    assert (body["company_id"], body["resource"], body["status"]) == (SALON, "record", "create")
    assert set(body["data"]) == set(CAPTURED_FIELDS.split())
    assert body["data"]["id"] == body["resource_id"]
    assert "private-part" not in delivery.target


@pytest.mark.usefixtures("active")
async def test_a_record_keeps_what_an_update_changed_until_it_is_deleted(
    yclients: SandboxYClients, product: Product
) -> None:
    await yclients.send_entities(SALON, [EntityEvent()])
    number = bodies(product)[0]["resource_id"]
    yclients.context.clock.advance(seconds=5)
    later = [
        EntityEvent(status="update", resource_id=number, fields={"attendance": 2}),
        EntityEvent(status="delete", resource_id=number),
    ]
    await yclients.send_entities(SALON, later)
    created, updated, deleted = (body["data"] for body in bodies(product))
    assert [row["attendance"] for row in (created, updated, deleted)] == [0, 2, 2]
    assert deleted["deleted"] is True
    assert created["last_change_date"] < updated["last_change_date"]


@pytest.mark.usefixtures("active")
@pytest.mark.parametrize("parallel", [False, True])
async def test_the_same_change_can_arrive_four_times(
    yclients: SandboxYClients, product: Product, parallel: bool
) -> None:
    await yclients.send_entities(SALON, [EntityEvent()], repeat=4, parallel=parallel)
    assert len(product.received) == 4
    assert len({text for _, _, text in product.received}) == 1


@pytest.mark.usefixtures("active")
async def test_changes_can_arrive_out_of_order(yclients: SandboxYClients, product: Product) -> None:
    events = [EntityEvent(resource_id=7), EntityEvent(status="update", resource_id=7)]
    await yclients.send_entities(SALON, events, order="reversed")
    assert [body["status"] for body in bodies(product)] == ["update", "create"]


@pytest.mark.usefixtures("active")
async def test_data_can_be_partial_and_other_resources_are_sent_too(
    yclients: SandboxYClients, product: Product
) -> None:
    events = [
        EntityEvent(partial=True),
        EntityEvent(drop=["client"]),
        EntityEvent(resource="client", status="update", resource_id=5, fields={"name": "Пётр"}),
        EntityEvent(resource="goods_operations_sale", resource_id=9),
    ]
    await yclients.send_entities(SALON, events)
    partial, without_client, changed, sale = bodies(product)
    assert set(partial["data"]) == {"id", "company_id", "date", "last_change_date"}
    assert "client" not in without_client["data"]
    assert (changed["resource_id"], changed["data"]["name"]) == (5, "Пётр")
    assert (sale["resource"], sale["resource_id"]) == ("goods_operations_sale", 9)


@pytest.mark.usefixtures("active")
async def test_anything_can_be_sent_raw(client: Client, product: Product) -> None:
    await client.post("/control/webhooks/raw", {"text": "not json", "content_type": "text/plain"})
    await client.post("/control/webhooks/raw", {"text": "[1]", "salon_id": SALON})
    assert [(path, text) for path, _, text in product.received] == [
        ("/webhook/yclients", "not json"),
        ("/webhook/yclients/private-part", "[1]"),
    ]


async def test_without_a_registered_address_nothing_can_be_sent(yclients: SandboxYClients) -> None:
    yclients.press_connect(SALON)
    with pytest.raises(MarketplaceError):
        await yclients.send_entities(SALON, [EntityEvent()])
