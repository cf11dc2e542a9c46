"""The journeys' own ground: the stand-ins answer, databases are separate, the browser reads a QR code."""

import base64
import io
from collections.abc import Callable

import segno
from playwright.sync_api import Page

from tests.browser import decode_qr
from tests.databases import rows_of
from tests.deployments import Deployment
from tests.journeys.steps import add_salon


def test_a_stand_in_comes_back_at_its_address_with_its_memory(system: Deployment) -> None:
    salon = add_salon(system)
    system.yclients.press_connect(salon.id)
    system.kill("sandbox-whatsapp")
    system.restart("sandbox-yclients")
    system.start("sandbox-whatsapp")
    assert system.whatsapp.phone(salon.phone)["name"] == "Анна"
    assert system.yclients.salon(salon.id)["status"] == "pending"


def test_each_deployment_starts_from_an_empty_migrated_database(make_database: Callable[[], str]) -> None:
    first, second = make_database(), make_database()
    assert rows_of(first, "SELECT count(*) FROM marketplace_company") == [(0,)]
    assert first != second


def test_a_qr_code_is_read_from_the_pixels_of_a_page(desktop_page: Page, phone_page: Page) -> None:
    text = "https://wa.me/settings/linked_devices#2@made+up/ref==,b64,b64,b64,1"
    picture = io.BytesIO()
    segno.make(text).save(picture, kind="svg", scale=5)
    source = base64.b64encode(picture.getvalue()).decode()
    for page in (desktop_page, phone_page):
        page.set_content(f'<h1>Салон</h1><img src="data:image/svg+xml;base64,{source}">')
        assert decode_qr(page.screenshot()) == text
