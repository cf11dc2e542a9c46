"""The page of bookings: what its buttons tell the application."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.yclients import SandboxYClients

from .conftest import SALON, Client, Product
from .test_control_and_pages import submit

BOOKING = {
    "salon_id": str(SALON),
    "starts_at": "2030-05-01T12:10",
    "name": "Ирина <b>",
    "phone": "+79990000000",
    "service": "5034677",
    "master": "2835419",
}


@pytest.fixture
async def active(yclients: SandboxYClients, client: Client, product: Product) -> None:
    yclients.press_connect(SALON)
    await client.activate(webhook_urls=[f"{product.url}/webhook/yclients/private-part"])


def webhooks_of(product: Product) -> list[dict[str, Any]]:
    return [json.loads(text) for _path, _headers, text in product.received]


@pytest.mark.usefixtures("active")
async def test_a_visit_is_booked_moved_and_cancelled(yclients: SandboxYClients, product: Product) -> None:
    assert (await submit(yclients, "/records", BOOKING)) == (303, f"{yclients.url}/records")
    record = webhooks_of(product)[0]["resource_id"]
    for action in ("move", "came", "cancel"):
        await submit(yclients, f"/records/{SALON}/{record}/{action}")
    booked, moved, came, cancelled = webhooks_of(product)
    assert [body["status"] for body in webhooks_of(product)] == ["create", "update", "update", "delete"]
    assert booked["data"]["datetime"] == "2030-05-01T12:10:00+03:00"
    assert booked["data"]["client"]["name"] == "Ирина <b>"
    assert (booked["data"]["services"][0]["title"], booked["data"]["staff"]["name"]) == (
        "Окрашивание",
        "Мария",
    )
    assert moved["data"]["datetime"] == "2030-05-01T13:10:00+03:00"
    assert moved["data"]["date"] == "2030-05-01 13:10:00"
    assert (came["data"]["attendance"], came["data"]["datetime"]) == (1, moved["data"]["datetime"])
    assert cancelled["data"]["deleted"] is True


@pytest.mark.usefixtures("active")
async def test_the_page_shows_the_bookings_escaped(yclients: SandboxYClients, client: Client) -> None:
    await submit(yclients, "/records", BOOKING)
    page = (await client.get("/records", headers={})).body
    assert "01.05.2030, 12:10" in page
    assert "Ирина &lt;b&gt;" in page
    assert "<b>" not in page


@pytest.mark.usefixtures("active")
@pytest.mark.parametrize(
    "wrong", [{"starts_at": "завтра"}, {"salon_id": "x"}, {"service": "1"}, {"phone": ""}]
)
async def test_an_incomplete_booking_is_refused(
    yclients: SandboxYClients, product: Product, wrong: dict[str, str]
) -> None:
    status, _location = await submit(yclients, "/records", {**BOOKING, **wrong})
    assert status in (404, 422)
    assert not product.received


async def test_without_a_connected_salon_there_is_nothing_to_book(client: Client) -> None:
    assert "Сначала подключите" in (await client.get("/records", headers={})).body
