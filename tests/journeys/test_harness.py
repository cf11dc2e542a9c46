"""The journeys' own ground: the stand-ins answer, databases are separate, the browser reads a QR code."""

import base64
import io
from collections.abc import Callable

import segno
from playwright.sync_api import Page

from tests.browser import decode_qr
from tests.deployments import Deployment


def test_a_stand_in_comes_back_at_its_address_with_its_memory(
    make_deployment: Callable[..., Deployment],
) -> None:
    system = make_deployment()
    system.whatsapp.add_phone("79990001122", "Anna")
    system.yclients.add_salon(501)
    system.yclients.press_connect(501)
    system.kill("sandbox-whatsapp")
    system.restart("sandbox-yclients")
    system.start("sandbox-whatsapp")
    assert system.whatsapp.phone("79990001122")["name"] == "Anna"
    assert system.yclients.salon(501)["status"] == "pending"


def test_each_journey_starts_from_an_empty_migrated_database(
    make_deployment: Callable[..., Deployment],
) -> None:
    system = make_deployment()
    assert system.query("SELECT count(*) FROM marketplace_company") == [(0,)]


def test_a_qr_code_is_read_from_the_pixels_of_a_page(desktop_page: Page, phone_page: Page) -> None:
    text = "https://wa.me/settings/linked_devices#2@made+up/ref==,b64,b64,b64,1"
    picture = io.BytesIO()
    segno.make(text).save(picture, kind="svg", scale=5)
    source = base64.b64encode(picture.getvalue()).decode()
    for page in (desktop_page, phone_page):
        page.set_content(f'<h1>Салон</h1><img src="data:image/svg+xml;base64,{source}">')
        assert decode_qr(page.screenshot()) == text
