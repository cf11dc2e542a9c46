"""Support's first page and search in a browser: for everybody, on every size, in both languages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from sandbox.demo.run import SUPPORT_PASSWORD, SUPPORT_USER
from tests.accessibility import grave_findings, sideways_scroll
from tests.deployments import Deployment
from tests.journeys.steps import SALON, add_salon, expect_done, press_connect, scan, wait_until_active
from tests.processes import wait_until

CLIENT = "79990000000"
SIZES = [(375, 740), (1280, 860)]
LANGUAGES = {"ru": "WhatsApp подключён, сообщения уходят", "en": "WhatsApp is connected and messages go out"}


def sign_in(page: Page, system: Deployment) -> None:
    """A member of the support group signs in and is on the first page."""
    page.goto(f"{system.url}/admin/")
    page.locator("#id_username").fill(SUPPORT_USER)
    page.locator("#id_password").fill(SUPPORT_PASSWORD)
    page.locator("input[type=submit]").first.click()
    expect(page.locator(".support-counts")).to_be_visible()


def look_for(page: Page, term: str) -> None:
    """By the keyboard alone: `/`, the term, Enter."""
    page.keyboard.press("/")
    expect(page.locator("#support-q")).to_be_focused()
    page.keyboard.type(term)
    page.keyboard.press("Enter")
    expect(page.locator("#support-q")).to_have_value(term)


@pytest.fixture
def linked(demo: Deployment, open_page: Callable[..., Page]) -> Deployment:
    """The demo with a linked salon, one of whose clients has a message."""
    page = open_page()
    press_connect(page, demo, add_salon(demo, SALON))
    scan(page, demo, SALON)
    expect_done(page)
    wait_until_active(demo, SALON)
    demo.yclients.notify(SALON.id, "Ждём вас завтра", CLIENT)
    wait_until(lambda: bool(demo.whatsapp.phone(CLIENT)["inbox"]), "the client has the message")
    return demo


@pytest.mark.timeout(360)
def test_support_sees_and_finds_on_every_size(linked: Deployment, open_page: Callable[..., Page]) -> None:
    problems: list[str] = []
    for language, connected in LANGUAGES.items():
        page = open_page(locale=language)
        sign_in(page, linked)

        def check(where: str, page: Page = page, language: str = language) -> None:
            expect(page.locator("html")).to_have_attribute("lang", language)
            problems.extend(f"{where}: {found}" for found in grave_findings(page))
            if (pixels := sideways_scroll(page)) > 0:
                problems.append(f"{where}: scrolls sideways by {pixels} px")

        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            page.goto(f"{linked.url}/admin/")
            check(f"the overview {width} {language}")
            look_for(page, str(SALON.id))
            expect(page.locator(".support-found")).to_contain_text(connected)
            check(f"a salon {width} {language}")
            look_for(page, CLIENT)
            expect(page.locator(".support-found").first).to_contain_text("Ждём вас завтра")
            expect(page.locator(".support-found").first).to_contain_text(f"({SALON.id})")
            check(f"a client {width} {language}")
    assert problems == []
