"""Takes the pictures of docs/screens in a real browser: `python -m tests.screenshots`.

The whole product runs beside the stand-ins; a salon is linked and writes to a client, so pages show both.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import ARGUMENTS, find_browser
from tests.deployments import Deployment, embedded_deployment
from tests.environment import ROOT
from tests.journeys.steps import SALON, add_salon, expect_done, press_connect, scan, wait_until_active
from tests.pictures import png
from tests.processes import wait_until
from tests.server import temporary_folder

FOLDER = ROOT / "docs" / "screens"
SIZES = {"phone": (375, 740), "desktop": (1280, 860)}
CLIENT = "79990000000"
CABINET_PAGES = {name: name for name in ("messages", "texts", "replies", "settings")} | {"home": ""}
ADMIN_PAGES = {
    "overview": "/admin/",
    "salons": "/admin/marketplace/company/",
    "messages": "/admin/whatsapp/message/",
    "sessions": "/admin/whatsapp/session/",
}


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(find_browser()), args=ARGUMENTS)
        yield made
        made.close()


def open_page(made: Browser, size: str, locale: str = "ru-RU") -> Page:
    """A page of this size whose motion stands still."""
    width, height = SIZES[size]
    context = made.new_context(
        viewport={"width": width, "height": height},
        locale=locale,
        is_mobile=size == "phone",
        has_touch=size == "phone",
        reduced_motion="reduce",
        device_scale_factor=1,
    )
    return context.new_page()


def take(page: Page, name: str) -> None:
    """Keep a picture of the page as `name`."""
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path)
    sys.stdout.write(f"{path.relative_to(ROOT)}\n")


def onboarding(made: Browser, system: Deployment) -> None:
    """The owner's way, in two sizes; the last one links the phone."""
    salon = add_salon(system, SALON)
    for size in SIZES:
        page = open_page(made, size)
        press_connect(page, system, salon)
        page.wait_for_load_state("networkidle")
        take(page, f"connect-{size}")
        confirm = page.locator("#confirm:visible, [data-action=confirm]:visible")
        if confirm.count():
            confirm.first.click()
        if size == "desktop":
            page.locator("#qr svg, #qr img").first.wait_for()
            take(page, f"qr-{size}")
            scan(page, system, salon)
            expect_done(page)
            take(page, f"done-{size}")
        else:
            page.locator("#panel-link:visible, form:visible").first.wait_for()
            take(page, f"link-{size}")
    wait_until_active(system, salon)


def cabinet(made: Browser, system: Deployment) -> None:
    """The owner's cabinet, in two sizes: opened from the page, with a message in it."""
    system.yclients.notify(SALON.id, "Ждём вас сегодня в 18:00", CLIENT)
    wait_until(lambda: bool(system.whatsapp.phone(CLIENT)["inbox"]), "the client has a message")
    client_writes(system)
    for size in SIZES:
        page = open_page(made, size)
        press_connect(page, system, SALON)
        with page.context.expect_page() as opened:
            page.locator("#panel-done form button").click()
        opened.value.wait_for_load_state("networkidle")
        address = opened.value.url
        for name, path in CABINET_PAGES.items():
            opened.value.goto(f"{address}{path}")
            take(opened.value, f"cabinet-{name}-{size}")
        conversation(opened.value, address, size)
        editor(opened.value, address, size)


def client_writes(system: Deployment) -> None:
    """The client answers, and shows what he wants."""
    system.whatsapp.send(CLIENT, SALON.phone, "Можно чуть позже, в 18:30?")
    picture = png(480, 360)
    system.whatsapp.send_file(CLIENT, SALON.phone, "image", picture, mime="image/png", caption="Такой цвет")
    kept = "SELECT count(*) FROM whatsapp_mediafile WHERE state = 'kept'"
    wait_until(lambda: system.query(kept)[0][0] == 1, "the client's picture is kept")


def conversation(page: Page, address: str, size: str) -> None:
    """What the client wrote and was answered."""
    page.goto(f"{address}replies")
    page.locator("#conversations a").first.click()
    if size == "phone":
        page.locator("#text").fill("Да, ждём в 18:30!")
        page.locator("#answer button[type=submit]").click()
    page.locator("#chat img").first.wait_for()
    page.wait_for_load_state("networkidle")
    take(page, f"cabinet-conversation-{size}")


def editor(page: Page, address: str, size: str) -> None:
    """A text with a picture."""
    page.goto(f"{address}texts/created")
    if size == "phone":
        page.locator("#file").set_input_files(
            {"name": "way.png", "mimeType": "image/png", "buffer": png(480, 240)}
        )
        page.locator("form[action$=picture] button").first.click()
    page.locator(".phone-picture img").wait_for()
    page.locator(".phone-picture").scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    take(page, f"cabinet-text-{size}")


def support(made: Browser, system: Deployment) -> None:
    """Support's pages, with a message in them."""
    system.yclients.notify(SALON.id, "Ждём вас завтра в 12:00", CLIENT)
    wait_until(lambda: bool(system.whatsapp.phone(CLIENT)["inbox"]), "the client has the message")
    page = open_page(made, "desktop")
    page.goto(f"{system.url}/admin/")
    page.locator("#id_username").fill("support")
    page.locator("#id_password").fill("support")
    page.locator("input[type=submit], button[type=submit]").first.click()
    for name, path in ADMIN_PAGES.items():
        page.goto(f"{system.url}{path}")
        take(page, f"admin-{name}")


def main() -> None:
    """Replace every picture."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.png"):
        Path(old).unlink()
    system = embedded_deployment(folder=temporary_folder("screenshots"))
    try:
        with browser() as made:
            onboarding(made, system)
            cabinet(made, system)
            support(made, system)
    finally:
        system.close()


if __name__ == "__main__":
    main()
