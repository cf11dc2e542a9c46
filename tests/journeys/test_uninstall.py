"""A salon removes the application, and installs it again."""

from playwright.sync_api import Page

from tests.deployments import Deployment
from tests.journeys.steps import (
    PHONE,
    SALON,
    add_salon_and_phone,
    company_status,
    expect_done,
    press_connect,
    scan_until_linked,
    wait_until_active,
)
from tests.processes import wait_until


def secrets_left(system: Deployment) -> tuple[int, int]:
    """How many salons hold an API key, and how many sessions hold credentials."""
    keys = system.query("SELECT count(*) FROM marketplace_company WHERE api_key_digest IS NOT NULL")
    return keys[0][0], system.query("SELECT count(*) FROM whatsapp_storedcredentials")[0][0]


def linked_devices(system: Deployment) -> int:
    count: int = system.whatsapp.phone(PHONE)["linked_devices"]
    return count


def test_an_uninstall_leaves_nothing_and_a_reinstall_works(system: Deployment, desktop_page: Page) -> None:
    add_salon_and_phone(system)
    press_connect(desktop_page, system)
    scan_until_linked(desktop_page, system)
    wait_until_active(system)
    wait_until(lambda: secrets_left(system) == (1, 1), "key and credentials are kept")

    system.yclients.change(SALON, "uninstall")
    system.yclients.send_lifecycle(SALON, "uninstall")
    wait_until(lambda: company_status(system) == "uninstalled", "the salon is uninstalled")
    wait_until(lambda: linked_devices(system) == 0, "the phone sees the device gone")
    wait_until(lambda: secrets_left(system) == (0, 0), "key and credentials are destroyed")

    press_connect(desktop_page, system)
    scan_until_linked(desktop_page, system)
    wait_until_active(system)
    expect_done(desktop_page)
    assert linked_devices(system) == 1
