"""The main story in a browser: marketplace, onboarding, the phone's camera, active, and back."""

from playwright.sync_api import Page, expect

from tests.journeys.story import (
    assert_activated_once,
    press_connect,
    scan,
    see_done,
    set_the_scene,
    wait_until_active,
)
from tests.scene import Scene


def tell(page: Page, scene: Scene) -> None:
    set_the_scene(scene)
    press_connect(page, scene)
    scan(page, scene)
    see_done(page)
    wait_until_active(scene)
    assert_activated_once(scene)
    page.locator("#done-link").click()
    expect(page.get_by_role("heading", name="Интеграция подключена")).to_be_visible()


def test_a_salon_is_linked_by_separate_processes(scene: Scene, desktop_page: Page) -> None:
    tell(desktop_page, scene)


def test_a_salon_is_linked_in_the_demo(demo: Scene, desktop_page: Page) -> None:
    tell(desktop_page, demo)
