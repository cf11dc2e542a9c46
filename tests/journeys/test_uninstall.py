"""A salon removes the application, and installs it again."""

from playwright.sync_api import Page

from tests.journeys.story import (
    PHONE,
    SALON,
    company_status,
    press_connect,
    scan_until_linked,
    see_done,
    set_the_scene,
    wait_until_active,
)
from tests.processes import wait_until
from tests.scene import Scene


def secrets_left(scene: Scene) -> tuple[int, int]:
    """How many salons hold an API key, and how many sessions hold credentials."""
    keys = scene.query("SELECT count(*) FROM marketplace_company WHERE api_key_digest IS NOT NULL")
    return keys[0][0], scene.query("SELECT count(*) FROM whatsapp_storedcredentials")[0][0]


def linked_devices(scene: Scene) -> int:
    count: int = scene.whatsapp.phone(PHONE)["linked_devices"]
    return count


def test_an_uninstall_leaves_nothing_and_a_reinstall_works(scene: Scene, desktop_page: Page) -> None:
    set_the_scene(scene)
    press_connect(desktop_page, scene)
    scan_until_linked(desktop_page, scene)
    wait_until_active(scene)
    wait_until(lambda: secrets_left(scene) == (1, 1), "key and credentials are kept")

    scene.yclients.change(SALON, "uninstall")
    scene.yclients.send_lifecycle(SALON, "uninstall")
    wait_until(lambda: company_status(scene) == "uninstalled", "the salon is uninstalled")
    wait_until(lambda: linked_devices(scene) == 0, "the phone sees the device gone")
    wait_until(lambda: secrets_left(scene) == (0, 0), "key and credentials are destroyed")

    press_connect(desktop_page, scene)
    scan_until_linked(desktop_page, scene)
    wait_until_active(scene)
    see_done(desktop_page)
    assert linked_devices(scene) == 1
