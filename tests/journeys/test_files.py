"""Files through the real library: a client's picture in the cabinet, a document and a picture sent to him."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.accessibility import grave_findings, sideways_scroll
from tests.deployments import Deployment
from tests.journeys.steps import add_salon, open_cabinet
from tests.pictures import png
from tests.processes import wait_until

CLIENT = "79994440011"
PDF = b"%PDF-1.4\n1 0 obj <<>> endobj\ntrailer <<>>\n%%EOF\n"


def received(system: Deployment, text: str) -> Any:
    """The message with this caption on the client's phone."""

    def found() -> Any:
        inbox = system.whatsapp.phone(CLIENT)["inbox"]
        return next((message for message in inbox if message["text"] == text and message["attachment"]), None)

    wait_until(
        lambda: found() is not None,
        f"{text!r} with its file is on the client's phone",
        why=lambda: str(system.query("SELECT status, error FROM whatsapp_message ORDER BY id DESC")[:3]),
    )
    return found()


def test_pictures_and_documents_go_both_ways(system: Deployment, open_page: Callable[..., Page]) -> None:
    salon = add_salon(system)
    page = open_cabinet(open_page(), system, salon)
    page.set_viewport_size({"width": 390, "height": 844})
    home = f"{system.url}/cabinet/{salon.id}"
    system.whatsapp.add_phone(CLIENT, "Ирина")
    system.whatsapp.send_file(
        CLIENT, salon.phone, "image", png(640, 480), mime="image/png", name="", caption="Так хочу"
    )
    stored = "SELECT state FROM whatsapp_mediafile"
    wait_until(lambda: system.query(stored) == [("kept",)], "the picture is kept")
    page.goto(f"{home}/replies?lang=ru")
    page.get_by_text("Так хочу").click()
    picture = page.locator("#chat img")
    expect(picture).to_be_visible()
    page.wait_for_function("() => document.querySelector('#chat img').naturalWidth === 640")
    assert grave_findings(page) == []
    assert sideways_scroll(page) <= 0

    page.get_by_label("Ответ", exact=True).fill("Прайс")
    page.get_by_label("Картинка или документ").set_input_files(
        {"name": "Прайс.pdf", "mimeType": "application/pdf", "buffer": PDF}
    )
    page.get_by_role("button", name="Отправить").click()
    expect(page.get_by_role("link", name="Прайс.pdf")).to_be_visible()
    message = received(system, "Прайс")
    assert (message["attachment"]["kind"], message["attachment"]["name"]) == ("document", "Прайс.pdf")
    assert system.whatsapp.file(CLIENT, message["id"]) == PDF

    page.goto(f"{home}/texts/created?lang=ru")
    page.get_by_label("Картинка или документ, которые уходят вместе с текстом").set_input_files(
        {"name": "map.png", "mimeType": "image/png", "buffer": png(320, 200)}
    )
    page.get_by_role("button", name="Прикрепить").click()
    expect(page.locator(".phone-picture img")).to_be_visible()
    assert grave_findings(page) == []
    assert sideways_scroll(page) <= 0
    page.get_by_label("Отправить сохранённый текст на телефон для проверки").fill(CLIENT)
    page.get_by_role("button", name="Отправить пробное").click()
    text = page.locator(".bubble").inner_text()
    wait_until(
        lambda: any(
            each["attachment"] and each["attachment"]["kind"] == "image" and each["text"] in text
            for each in system.whatsapp.phone(CLIENT)["inbox"]
            if not each["outgoing"]
        ),
        "the text with its picture is on the client's phone",
    )
