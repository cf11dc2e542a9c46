"""The control API, the pages, and the sandbox as a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.yclients import InstallStatus, SandboxYClients

from .conftest import HEADERS, KEY, OTHER_SALON, SALON, TOKEN, Client, Product


async def submit(yclients: SandboxYClients, path: str, fields: Any = None) -> tuple[int, str]:
    """Press a button: the status and where it leads."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(yclients.url + path, data=fields, allow_redirects=False) as response,
    ):
        return response.status, response.headers.get("Location", "")


async def test_a_salon_can_be_made_listed_and_read(client: Client) -> None:
    made = await client.post("/control/salons", {"id": 77, "title": "Салон «Нева»"})
    assert (made.status, made.body["status"]) == (201, None)
    assert 77 in [row["id"] for row in (await client.get("/control/salons")).body["salons"]]
    assert (await client.get("/api/v1/company/77")).body["data"]["title"] == "Салон «Нева»"
    assert (await client.post("/control/salons", {"id": 77})).status == 409


async def test_press_connect_and_the_salons_keys_are_visible(client: Client) -> None:
    pressed = await client.post("/control/press-connect", {"salon_ids": [SALON, OTHER_SALON]})
    assert "salon_ids%5B1%5D" in pressed.body["redirect_url"]
    await client.activate()
    seen = (await client.get(f"/control/salons/{SALON}")).body
    assert (seen["status"], seen["installation"]["api_key_count"]) == ("active", 1)
    assert (seen["installation"]["api_keys"], seen["installation"]["activations"]) == ([KEY], 1)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("salons", {"id": "x"}, 400),
        ("salons", {"id": 5, "colour": "red"}, 400),
        ("press-connect", {}, 400),
        ("press-connect", {"salon_id": 1}, 404),
        ("press-connect", {"salon_id": SALON, "signature": "maybe"}, 400),
        ("faults", {"kind": "explode"}, 400),
        ("faults", {}, 400),
        ("clock/advance", {"seconds": -1}, 400),
        ("webhooks/lifecycle", {"salon_id": SALON}, 400),
        ("webhooks/entity", {"salon_id": SALON, "events": [{"colour": "red"}]}, 400),
        ("webhooks/entity", {"salon_id": SALON}, 404),
        ("webhooks/raw", {}, 400),
        ("webhooks/lifecycle", {"salon_id": SALON, "event": "freeze", "repeat": 0}, 400),
        ("notifications", {"salon_id": SALON, "text": "x"}, 400),
        ("nothing", {}, 404),
    ],
)
async def test_a_wrong_control_request_is_answered_with_a_sentence(
    client: Client, path: str, body: dict[str, Any], status: int
) -> None:
    answer = await client.post(f"/control/{path}", body)
    assert answer.status == status
    assert answer.body["error"].endswith(".")


async def test_webhooks_can_be_sent_without_waiting(client: Client, yclients: SandboxYClients) -> None:
    body = {"salon_id": SALON, "event": "freeze", "repeat": 2, "wait": False}
    answer = await client.post("/control/webhooks/lifecycle", body)
    assert answer.status == 202
    assert len((await client.get("/control/webhooks?kind=lifecycle")).body["deliveries"]) == 2


async def test_the_connect_button_leads_to_the_product(yclients: SandboxYClients, product: Product) -> None:
    status, location = await submit(yclients, f"/salons/{SALON}/connect")
    assert status == 303
    assert location.startswith(f"{product.url}/auth/yclients/redirect?salon_id={SALON}&user_data=")
    assert yclients.installation(SALON).status is InstallStatus.PENDING


async def test_ticked_salons_are_connected_together(yclients: SandboxYClients) -> None:
    fields = [("salon_id", str(SALON)), ("salon_id", str(OTHER_SALON))]
    _, location = await submit(yclients, "/connect", fields)
    assert f"salon_ids%5B1%5D={OTHER_SALON}" in location
    _, nowhere = await submit(yclients, "/connect")
    assert nowhere == f"{yclients.url}/?note=none-chosen"


async def test_buttons_change_the_state_and_tell_the_product(
    yclients: SandboxYClients, client: Client, product: Product
) -> None:
    yclients.press_connect(SALON)
    await client.activate()
    for action in ("freeze", "pay", "uninstall"):
        await submit(yclients, f"/salons/{SALON}/{action}")
    events = [json.loads(text)["event"] for _, _, text in product.received]
    assert events == ["freeze", "payment", "uninstall"]
    steps = [entry.status_to for entry in yclients.installation(SALON).logs]
    assert steps == ["pending", "active", "freezed", "active", "uninstalled"]
    assert (await submit(yclients, f"/salons/{SALON}/uninstall"))[0] == 409


async def test_the_page_shows_each_salons_state_and_escapes_names(
    yclients: SandboxYClients, client: Client
) -> None:
    await client.post("/control/salons", {"id": 78, "title": "<script>alert(1)</script>"})
    yclients.press_connect(SALON)
    page = (await client.get("/", headers={})).body
    assert f'data-salon="{SALON}" data-status="pending"' in page
    assert f'data-salon="{OTHER_SALON}" data-status="none"' in page
    assert "<script>" not in page
    assert "ещё не подключена" in (await client.get(f"/back?salon_id={SALON}", headers={})).body
    assert (await client.get("/back?salon_id=1", headers={})).status == 404


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_runs_as_a_process_and_stops_when_told(tmp_path: Path, number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox.yclients", "--product-url", "http://127.0.0.1:1"),
        *("--partner-token", TOKEN, "--application-id", "456", "--state-dir", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{ready['api_url']}/api/v1/company/{SALON}", headers=HEADERS) as response,
        ):
            assert response.status == 200
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        if process.returncode is None:
            process.kill()
