"""The steps of journeys: what the owner of a salon does, and what must be true at the end."""

import contextlib
import re
from itertools import count
from typing import NamedTuple

from playwright.sync_api import Page, expect

from tests.browser import decode_qr
from tests.deployments import Deployment
from tests.processes import wait_until
from tests.stand_ins import OutsideError

TITLE = "Салон Анны"
_numbers = count(1)


class Salon(NamedTuple):
    """A salon's id at YClients, and the number of its phone."""

    id: int
    phone: str


# Of deployments that serve one test or one file alone.
SALON, OTHER_SALON = Salon(501, "79990001122"), Salon(502, "79990003344")


def add_salon(system: Deployment, salon: Salon | None = None) -> Salon:
    """A salon that has not installed anything, and its phone; by default one that no other test knows."""
    if salon is None:
        number = next(_numbers)
        salon = Salon(1000 + number, str(79990100000 + number))
    system.yclients.add_salon(salon.id, title=TITLE)
    system.whatsapp.add_phone(salon.phone, "Анна")
    return salon


def press_connect(page: Page, system: Deployment, salon: Salon) -> None:
    """The owner opens the marketplace and presses "Connect"; the page of the product is shown."""
    page.goto(system.yclients.url)
    page.locator(f'form[action$="/salons/{salon.id}/connect"] button').click()
    expect(page.locator("#steps")).to_be_visible()
    confirm(page)


def confirm(page: Page) -> None:
    """The owner reads whose salon it is and goes on; a salon that is linked already asks nothing."""
    # One of the panels is shown as soon as the page's script has run.
    expect(page.locator("main > section:visible")).to_have_count(1)
    if page.locator("#panel-confirm").is_visible():
        page.locator("#confirm").click()
        expect(page.locator("#panel-confirm")).to_be_hidden()


def qr_from_pixels(page: Page) -> str:
    """The text of the QR code as a camera would read it, from a picture of the page."""
    expect(page.locator("#qr svg, #qr img").first).to_be_visible()
    return decode_qr(page.screenshot())


def scan(page: Page, system: Deployment, salon: Salon) -> None:
    """The owner holds the salon's phone to the screen."""
    system.whatsapp.scan(salon.phone, qr_from_pixels(page))


def scan_until_linked(page: Page, system: Deployment, salon: Salon, *, seconds: float = 90.0) -> None:
    """Scans as a person whose first try the phone did not take: again, until the page moves on."""
    moved_on = page.locator("#panel-activate:visible, #panel-done:visible")

    def tried() -> bool:
        if moved_on.count():
            return True
        if page.locator("#qr svg, #qr img").first.is_visible():
            with contextlib.suppress(OutsideError, ValueError):  # a stale code, or none in the picture
                system.whatsapp.scan(salon.phone, decode_qr(page.screenshot()))
                return True
        return False

    wait_until(tried, "the phone took a code of the page", seconds=seconds)


def expect_done(page: Page) -> None:
    """The page says that WhatsApp is connected, and offers the way back."""
    expect(page.locator("#panel-done")).to_be_visible()
    expect(page.locator("#done-link")).to_have_attribute("href", re.compile("^http"))


def company_status(system: Deployment, salon: Salon) -> str:
    """The status in the database, empty before the salon is known."""
    rows = system.query("SELECT status FROM marketplace_company WHERE salon_id = %s", salon.id)
    return str(rows[0][0]) if rows else ""


def wait_until_active(system: Deployment, salon: Salon, *, seconds: float = 60.0) -> None:
    """The activation is complete in our database."""
    wait_until(
        lambda: company_status(system, salon) == "active",
        f"salon {salon.id} is active",
        seconds=seconds,
        why=lambda: company_status(system, salon),
    )


def open_cabinet(page: Page, system: Deployment, salon: Salon) -> Page:
    """The owner links the phone and presses "Open the cabinet"; the new tab."""
    press_connect(page, system, salon)
    scan(page, system, salon)
    expect_done(page)
    wait_until_active(system, salon)
    with page.context.expect_page() as opened:
        page.locator("#panel-done").get_by_role("button", name="Открыть кабинет").click()
    cabinet = opened.value
    expect(cabinet).to_have_url(f"{system.url}/cabinet/{salon.id}/")
    return cabinet


def assert_activated_once(system: Deployment, salon: Salon) -> None:
    """One API key at YClients, one event here, one linked device on the phone."""
    there = system.yclients.salon(salon.id)
    assert there["status"] == "active"
    assert there["installation"]["api_key_count"] == 1
    statement = "SELECT count(*) FROM marketplace_marketplaceevent WHERE salon_id = %s AND event_type = %s"
    assert system.query(statement, salon.id, "integration_activated") == [(1,)]
    assert system.whatsapp.phone(salon.phone)["linked_devices"] == 1
