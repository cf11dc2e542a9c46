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


def test_a_salon_is_linked_by_separate_processes(system: Deployment, desktop_page: Page) -> None:
    link_through_the_page(desktop_page, system, add_salon(system))


def test_the_demo_leads_from_the_link_to_the_clients_answer(demo: Deployment, desktop_page: Page) -> None:
    page = desktop_page
    link_through_the_page(page, demo, add_salon(demo, SALON))
    page.goto(demo.url)
    expect(page.locator("#step-active.done")).to_be_visible()
    demo.yclients.notify(SALON.id, "Ждём вас завтра", CLIENT)
    expect(page.locator("#notified .bubble")).to_contain_text("1 доставлено", timeout=30_000)
    demo.yclients.send_entities(SALON.id, {}, parallel=True)
    expect(page.locator("#booked .bubble")).to_contain_text("Стрижка", timeout=30_000)
    page.locator("#stop").click()
    expect(page.locator("#answered")).to_contain_text("СТАРТ", timeout=30_000)
    expect(page.locator("li.done")).to_have_count(6)
    said = [message["text"] for message in demo.whatsapp.phone(CLIENT)["inbox"]]
    assert said[0] == "Ждём вас завтра"
    assert said[2] == "СТОП"
