"""The main story in a browser: marketplace, onboarding, the phone's camera, active, and back."""

from playwright.sync_api import Page, expect

from tests.deployments import Deployment
from tests.journeys.steps import (
    SALON,
    Salon,
    add_salon,
    assert_activated_once,
    expect_done,
    press_connect,
    scan,
    wait_until_active,
)

CLIENT = "79990000000"  # to whom the demo and YClients' stand-in write


def link_through_the_page(page: Page, system: Deployment, salon: Salon) -> None:
    press_connect(page, system, salon)
    scan(page, system, salon)
    expect_done(page)
    wait_until_active(system, salon)
    assert_activated_once(system, salon)
    page.locator("#done-link").click()
    expect(page.get_by_role("heading", name="Интеграция подключена")).to_be_visible()


def open_cabinet_as_the_step_says(page: Page, system: Deployment) -> Page:
    """The button of the step leads to the marketplace, and the onboarding page to the cabinet."""
    with page.context.expect_page() as opened:
        page.locator("#cabinet-marketplace").click()
    marketplace = opened.value
    marketplace.locator(f'form[action$="/salons/{SALON.id}/connect"] button').click()
    with marketplace.context.expect_page() as opened:
        marketplace.get_by_role("button", name="Открыть кабинет").click()
    expect(opened.value).to_have_url(f"{system.url}/cabinet/{SALON.id}/")
    return opened.value


def look_at_texts(cabinet: Page) -> None:
    """The owner reads what clients are told."""
    cabinet.locator("nav.screens").get_by_role("link", name="Тексты").click()
    cabinet.locator('main a[href$="/texts/created"]').first.click()
    expect(cabinet.locator("textarea").first).to_be_visible()


def answer_in_the_cabinet(cabinet: Page, text: str) -> None:
    """The owner opens the conversation with the client, and answers."""
    cabinet.locator("nav.screens").get_by_role("link", name="Ответы").click()
    cabinet.locator("a.row-link", has_text="Можно прийти на час позже?").click()
    cabinet.locator("#answer textarea").fill(text)
    cabinet.locator("#answer button").click()
    expect(cabinet.locator("#chat")).to_contain_text(text)


def test_a_salon_is_linked_by_separate_processes(system: Deployment, desktop_page: Page) -> None:
    link_through_the_page(desktop_page, system, add_salon(system))


def test_the_demo_leads_from_the_link_to_the_clients_answer(demo: Deployment, desktop_page: Page) -> None:
    page = desktop_page
    link_through_the_page(page, demo, add_salon(demo, SALON))
    page.goto(demo.url)
    expect(page.locator("#step-active.done")).to_be_visible()
    cabinet = open_cabinet_as_the_step_says(page, demo)
    expect(page.locator("#step-cabinet.done")).to_be_visible()
    look_at_texts(cabinet)
    demo.yclients.notify(SALON.id, "Ждём вас завтра", CLIENT)
    expect(page.locator("#notified .bubble")).to_contain_text("1 доставлено")
    demo.yclients.send_entities(SALON.id, {}, parallel=True)
    expect(page.locator("#booked .bubble")).to_contain_text("Стрижка")
    page.locator("#ask").click()
    expect(page.locator("#replied")).to_contain_text("Можно прийти на час позже?")
    answer_in_the_cabinet(cabinet, "Да, приходите в семь")
    expect(page.locator("#step-reply.done")).to_be_visible()
    expect(page.locator("#replied")).to_contain_text("Да, приходите в семь")
    page.locator("#stop").click()
    expect(page.locator("#answered")).to_contain_text("СТАРТ")
    expect(page.locator("li.done")).to_have_count(8)
    said = [message["text"] for message in demo.whatsapp.phone(CLIENT)["inbox"]]
    assert said[0] == "Ждём вас завтра"
    assert said[2:5] == ["Здравствуйте! Можно прийти на час позже?", "Да, приходите в семь", "СТОП"]
