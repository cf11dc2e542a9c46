"""The life of an installation as the API shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.yclients import InstallStatus, MarketplaceError, SandboxYClients

from .conftest import APPLICATION, KEY, OTHER_SALON, SALON, Client


def moves(answer: Any) -> list[tuple[str | None, str, str]]:
    return [(row["status_from"], row["status_to"], row["source"]) for row in answer.body["data"]["logs"]]


async def test_a_salon_tells_about_itself(client: Client) -> None:
    data = (await client.get(f"/api/v1/company/{SALON}")).body["data"]
    assert data["id"] == SALON
    assert all(data[name] for name in ("title", "phone", "email", "address", "timezone_name"))


@pytest.mark.parametrize("salon", ["1", "abc", "0"])
async def test_an_unknown_salon_is_not_found(client: Client, salon: str) -> None:
    assert (await client.get(f"/api/v1/company/{salon}")).status == 404


async def test_an_application_that_was_never_installed_is_not_found(client: Client) -> None:
    assert (await client.status()).status == 404


async def test_connecting_is_pending_until_the_callback_and_then_active(
    yclients: SandboxYClients, client: Client
) -> None:
    yclients.press_connect(SALON)
    assert (await client.status()).body["data"]["connection_status"]["status"] == "pending"
    answer = await client.activate(webhook_urls=["https://example.com/webhook/yclients/x"])
    assert answer.status == 301
    status = await client.status()
    assert status.body["data"]["connection_status"]["status"] == "active"
    assert moves(status) == [(None, "pending", "user"), ("pending", "active", "application")]
    assert yclients.installation(SALON).api_keys == [KEY]
    assert yclients.installation(SALON).webhook_urls == ["https://example.com/webhook/yclients/x"]


async def test_the_redirecting_callback_answers_a_page_and_not_json(
    yclients: SandboxYClients, client: Client
) -> None:
    yclients.press_connect(SALON)
    answer = await client.activate()
    assert answer.headers["Location"] == f"{yclients.url}/back?salon_id={SALON}"
    assert answer.headers["Content-Type"].startswith("text/html")
    page = await client.get(f"/back?salon_id={SALON}", headers={})
    assert "Интеграция подключена" in page.body


async def test_the_plain_callback_answers_201(yclients: SandboxYClients, client: Client) -> None:
    yclients.press_connect(SALON)
    answer = await client.activate(endpoint="")
    assert (answer.status, answer.body["success"]) == (201, True)
    assert yclients.installation(SALON).channels == {"whatsapp": True}


async def test_a_second_callback_is_refused_and_counts_nothing(
    yclients: SandboxYClients, client: Client
) -> None:
    yclients.press_connect(SALON)
    await client.activate()
    answer = await client.activate(api_key="another")
    assert answer.status == 403
    assert answer.body["meta"]["message"] == "Пользователь уже установил это приложение."
    assert yclients.installation(SALON).activations == 1
    assert yclients.installation(SALON).api_keys == [KEY]


async def test_a_salon_that_is_not_connecting_cannot_be_activated(client: Client) -> None:
    answer = await client.activate()
    assert answer.status == 403
    assert "уже" not in answer.body["meta"]["message"]


async def test_another_application_is_refused(yclients: SandboxYClients, client: Client) -> None:
    yclients.press_connect(SALON)
    assert (await client.activate(application_id=APPLICATION + 1)).status == 403
    assert (await client.get(f"/marketplace/salon/{SALON}/application/1")).status == 403


async def test_pending_expires_after_twelve_hours(yclients: SandboxYClients, client: Client) -> None:
    yclients.press_connect(SALON)
    await client.post("/control/clock/advance", {"seconds": 12 * 3600 - 60})
    assert (await client.status()).body["data"]["connection_status"]["status"] == "pending"
    await client.post("/control/clock/advance", {"seconds": 60})
    assert moves(await client.status())[-1] == ("pending", "uninstalled", "expired")
    assert (await client.activate()).status == 403


async def test_pressing_connect_again_renews_the_wait(yclients: SandboxYClients, client: Client) -> None:
    for _ in range(2):
        yclients.press_connect(SALON)
        yclients.context.clock.advance(seconds=11 * 3600)
    assert (await client.activate()).status == 301


async def test_the_application_can_remove_itself_and_be_installed_again(
    yclients: SandboxYClients, client: Client
) -> None:
    yclients.press_connect(SALON)
    await client.activate()
    path = f"/marketplace/salon/{SALON}/application/{APPLICATION}/uninstall"
    assert (await client.post(path, {})).status == 200
    assert (await client.post(path, {})).status == 404
    assert yclients.deliveries == []
    yclients.press_connect(SALON)
    assert (await client.activate(api_key="second")).status == 301
    assert yclients.installation(SALON).api_keys == [KEY, "second"]
    assert yclients.installation(SALON).activations == 2


async def test_money_wakes_a_frozen_installation(yclients: SandboxYClients, client: Client) -> None:
    yclients.press_connect(SALON)
    await client.activate()
    yclients.marketplace.freeze(SALON)
    assert (await client.status()).body["data"]["connection_status"]["status"] == "freezed"
    assert (await client.activate()).status == 403
    assert (await client.post(f"/control/salons/{SALON}/pay", {})).body["status"] == "active"
    assert moves(await client.status())[-1] == ("freezed", "active", "payment")


def test_only_an_active_installation_can_be_frozen(yclients: SandboxYClients) -> None:
    yclients.press_connect(SALON)
    with pytest.raises(MarketplaceError):
        yclients.marketplace.freeze(SALON)


async def test_the_list_shows_salons_that_use_the_application_page_by_page(
    yclients: SandboxYClients, client: Client
) -> None:
    path = f"/marketplace/application/{APPLICATION}/salons"
    assert (await client.get(path)).body["data"] == []
    yclients.press_connect(SALON, OTHER_SALON)
    second = await client.get(path + "?page=2&count=1")
    assert [row["salon_id"] for row in second.body["data"]] == [OTHER_SALON]
    assert second.body["meta"]["total_count"] == 2
    assert (await client.get(path + "?count=1001")).status == 422


async def test_a_state_folder_outlives_the_sandbox(tmp_path: Path) -> None:
    first = SandboxYClients(partner_token="t", application_id=1, state_dir=tmp_path)
    first.press_connect(SALON)
    first.marketplace.activate(salon_id=SALON, api_key=KEY, webhook_urls=[], channels=["whatsapp"])
    first.press_connect(OTHER_SALON)
    first.context.pay(SALON)
    second = SandboxYClients(partner_token="t", application_id=1, state_dir=tmp_path)
    assert second.installation(SALON) == first.installation(SALON)
    assert second.installation(OTHER_SALON).status is InstallStatus.PENDING
    assert second.installation(OTHER_SALON) == first.installation(OTHER_SALON)
    assert (tmp_path / "yclients.json").stat().st_mode & 0o077 == 0
