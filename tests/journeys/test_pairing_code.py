"""A salon links by typing a code on its phone, loses the device to another program, and takes it back."""

import re

from playwright.sync_api import Page, expect

from tests.deployments import Deployment
from tests.journeys.steps import (
    Salon,
    add_salon,
    assert_activated_once,
    expect_done,
    press_connect,
    wait_until_active,
)
from tests.processes import wait_until


def type_number(page: Page, text: str) -> str:
    """The owner gives the number as people write it, and reads the code off the page."""
    page.get_by_label("Номер WhatsApp на телефоне салона").fill(text)
    page.get_by_role("button", name="Получить код").click()
    shown = page.locator("#code [aria-hidden]")
    expect(shown).to_have_text(re.compile("^[1-9A-Z]{4}-[1-9A-Z]{4}$"))
    expect(page.locator("#code-for")).to_have_text("Код для номера +7 999 000-11-22")
    expect(page.locator("#code-left")).to_have_text(re.compile(r"Код действует ещё \d+ с"))
    return shown.inner_text()


def test_a_salon_is_linked_by_a_typed_code(system: Deployment, phone_page: Page) -> None:
    salon = add_salon(system, Salon(551, "79990001122"))
    phone_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press_connect(phone_page, system, salon)
    code = type_number(phone_page, "8 (999) 000 11 22")
    phone_page.get_by_role("button", name="Скопировать код").click()
    expect(phone_page.get_by_role("button", name="Скопировано")).to_be_visible()
    assert phone_page.evaluate("navigator.clipboard.readText()") == code.replace("-", "")
    system.whatsapp.enter_code(salon.phone, code)
    expect_done(phone_page)
    wait_until_active(system, salon)
    assert_activated_once(system, salon)
    expect(phone_page.locator("#done-settling")).to_be_visible()

    wait_until(lambda: has_moved(system, salon), "the device is connected in its shard")
    system.whatsapp.fault("replaced", salon.phone)
    again = phone_page.get_by_role("button", name="Использовать здесь снова")
    expect(again).to_be_visible()
    wait_until(lambda: available(system, salon) is False, "YClients was told that WhatsApp is down")
    before = logins(system, salon)
    again.click()
    expect(phone_page.locator("#done-title")).to_have_text("WhatsApp подключён")
    expect(phone_page.locator("#done-good")).to_be_visible()
    assert logins(system, salon) == before + 1

    system.whatsapp.remove_devices(salon.phone)
    expect(phone_page.locator("#lost-link")).to_contain_text("оборвалась сразу после")


def has_moved(system: Deployment, salon: Salon) -> bool:
    """Whether the pairing's host has given the device to a shard; between the two there is no connection."""
    moved = (
        "SELECT 1 FROM whatsapp_sessionevent AS event JOIN marketplace_company AS company USING (session_id)"
        " WHERE company.salon_id = %s AND event.kind = 'connected'"
    )
    return bool(system.query(moved, salon.id))


def available(system: Deployment, salon: Salon) -> bool | None:
    """What the marketplace believes of the salon's WhatsApp."""
    channels = system.yclients.salon(salon.id)["installation"]["channels"]
    found: bool | None = channels.get("whatsapp")
    return found


def logins(system: Deployment, salon: Salon) -> int:
    """How often the salon's linked device has logged in."""
    events = system.whatsapp.get("/journal")["events"]
    return sum(event["kind"] == "login" and event["phone"] == salon.phone for event in events)
