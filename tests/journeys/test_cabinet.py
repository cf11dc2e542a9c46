"""The salon owner's cabinet in a browser: the way in, and every screen for everybody, on every size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Response, expect

from tests.accessibility import grave_findings, sideways_scroll
from tests.deployments import Deployment
from tests.journeys.steps import Salon, add_salon, open_cabinet
from tests.processes import wait_until

# Every screen, below /cabinet/<salon>/: add yours here, and it is walked with the others.
SCREENS = [
    "", "messages", "messages/opt-outs", "texts", "texts/created", "replies",
    "replies/forwarding", "settings", "settings/unlink",
]  # fmt: skip
SIZES = [(375, 740), (1280, 860)]
LANGUAGES = ["ru", "en"]
FIRST_LOAD = 100_000  # bytes, over the network
FIVE_TIMES_FASTER = """
  const later = window.setTimeout, within = AbortSignal.timeout;
  window.setTimeout = (what, wait) => later(what, wait / 5);
  AbortSignal.timeout = (wait) => within.call(AbortSignal, wait / 5);
"""


def transferred(page: Page, address: str) -> int:
    """Bytes that a browser which knows nothing yet loads for the page."""
    page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    answers: list[Response] = []

    def record(answer: Response) -> None:
        answers.append(answer)

    page.on("response", record)
    page.goto(address, wait_until="networkidle")
    page.remove_listener("response", record)
    sizes: list[Any] = [answer.request.sizes() for answer in answers]
    return sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)


def test_every_screen_is_for_everybody_on_every_size(
    system: Deployment, open_page: Callable[..., Page]
) -> None:
    salon = add_salon(system)
    page = open_cabinet(open_page(), system, salon)
    problems = []
    console: list[str] = []
    page.on("console", lambda message: console.append(message.text) if message.type == "error" else None)
    home = f"{system.url}/cabinet/{salon.id}/"
    for (width, height), searched in zip(SIZES, LANGUAGES, strict=True):
        page.set_viewport_size({"width": width, "height": height})
        for language in LANGUAGES:
            for screen in SCREENS:
                page.goto(f"{home}{screen}?lang={language}")
                expect(page.locator("html")).to_have_attribute("lang", language)
                expect(page.locator("nav.screens a[aria-current=page]")).to_have_count(1)
                where = f"/{screen} {width} {language}"
                if language == searched:  # each size and each language once
                    problems += [f"{where}: {found}" for found in grave_findings(page)]
                if sideways_scroll(page) > 0:
                    problems.append(f"{where}: scrolls sideways by {sideways_scroll(page)} px")
    assert problems == []
    assert console == []
    sizes = {screen: transferred(page, f"{home}{screen}") for screen in SCREENS}
    assert {screen: size for screen, size in sizes.items() if size > FIRST_LOAD} == {}


def test_an_owner_signs_in_by_a_link_in_whatsapp_and_out_again(
    system: Deployment, open_page: Callable[..., Page]
) -> None:
    salon = add_salon(system)
    first = open_cabinet(open_page(), system, salon)
    first.get_by_role("button", name="Выйти").click()
    expect(first.get_by_role("heading", name="Кабинет салона")).to_be_visible()
    assert grave_findings(first) == []
    first.get_by_label("Номер салона в YClients").fill(str(salon.id))
    first.get_by_role("button", name="Прислать ссылку").click()
    expect(first.get_by_role("status")).to_contain_text("ссылка уже в пути")
    link = _link_in_whatsapp(system, salon)
    phone = open_page(phone=True)
    phone.goto(link)
    assert grave_findings(phone) == []
    phone.get_by_role("button", name="Открыть кабинет").click()
    expect(phone).to_have_url(f"{system.url}/cabinet/{salon.id}/")


def test_what_a_client_writes_appears_in_an_open_conversation(
    system: Deployment, open_page: Callable[..., Page]
) -> None:
    salon = add_salon(system)
    cabinet = open_cabinet(open_page(), system, salon)
    client = "79995550011"
    system.whatsapp.add_phone(client)
    cabinet.add_init_script(FIVE_TIMES_FASTER)
    cabinet.goto(f"{system.url}/cabinet/{salon.id}/replies")
    system.whatsapp.send(client, salon.phone, "Есть время завтра?")
    _wait_for_messages(system, salon, 1)
    cabinet.locator("#conversations a").click()
    expect(cabinet.locator("#chat li")).to_have_count(1)
    cabinet.get_by_label("Ответ", exact=True).fill("Есть, в шесть")
    # One reading that is never answered does not end the readings.
    cabinet.route("**/replies/*/new*", lambda _route: None, times=1)
    system.whatsapp.send(client, salon.phone, "Или послезавтра?")
    _wait_for_messages(system, salon, 2)
    expect(cabinet.locator("#chat li").last).to_contain_text("Или послезавтра?")
    expect(cabinet.get_by_label("Ответ", exact=True)).to_have_value("Есть, в шесть")
    cabinet.get_by_role("button", name="Отправить").click()
    expect(cabinet.locator("#chat .ours [data-state]")).to_have_text("доставлено")
    assert grave_findings(cabinet) == []
    assert sideways_scroll(cabinet) <= 0


def _wait_for_messages(system: Deployment, salon: Salon, count: int) -> None:
    """So many messages of clients are in the database: what the page shows is the page's own affair."""
    statement = (
        "SELECT count(*) FROM whatsapp_message m JOIN marketplace_company c ON c.session_id = m.session_id"
        " WHERE c.salon_id = %s AND m.direction = 'in'"
    )
    wait_until(
        lambda: system.query(statement, salon.id) == [(count,)],
        f"{count} messages of clients have come",
        why=system.logs,
    )


def _link_in_whatsapp(system: Deployment, salon: Salon) -> str:
    def text() -> str:
        inbox = system.whatsapp.phone(salon.phone)["inbox"]
        return next((message["text"] for message in inbox if "/cabinet/link" in message["text"]), "")

    wait_until(
        lambda: bool(text()),
        "the link is in WhatsApp",
        why=lambda: str(system.whatsapp.phone(salon.phone)["inbox"]),
    )
    return next(word for word in text().split() if "/cabinet/link" in word)
