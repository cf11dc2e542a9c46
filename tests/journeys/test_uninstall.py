"""A salon removes the application, and installs it again."""

from playwright.sync_api import Page

from tests.deployments import Deployment
from tests.journeys.steps import (
    Salon,
    add_salon,
    company_status,
    expect_done,
    press_connect,
    scan_until_linked,
    wait_until_active,
)
from tests.processes import wait_until


def secrets_left(system: Deployment, salon: Salon) -> tuple[int, int]:
    """How many API keys of the salon and stored credentials of its session there are."""
    keys = "SELECT count(*) FROM marketplace_company WHERE api_key_digest IS NOT NULL AND salon_id = %s"
    credentials = (
        "SELECT count(*) FROM whatsapp_storedcredentials WHERE session_id ="
        " (SELECT session_id FROM marketplace_company WHERE salon_id = %s)"
    )
    return system.query(keys, salon.id)[0][0], system.query(credentials, salon.id)[0][0]


def linked_devices(system: Deployment, salon: Salon) -> int:
    count: int = system.whatsapp.phone(salon.phone)["linked_devices"]
    return count


def test_an_uninstall_leaves_nothing_and_a_reinstall_works(system: Deployment, desktop_page: Page) -> None:
    salon = add_salon(system)
    press_connect(desktop_page, system, salon)
    scan_until_linked(desktop_page, system, salon)
    wait_until_active(system, salon)
    wait_until(lambda: secrets_left(system, salon) == (1, 1), "key and credentials are kept")

    system.yclients.change(salon.id, "uninstall")
    system.yclients.send_lifecycle(salon.id, "uninstall")
    wait_until(lambda: company_status(system, salon) == "uninstalled", "the salon is uninstalled")
    wait_until(lambda: linked_devices(system, salon) == 0, "the phone sees the device gone")
    wait_until(lambda: secrets_left(system, salon) == (0, 0), "key and credentials are destroyed")

    press_connect(desktop_page, system, salon)
    scan_until_linked(desktop_page, system, salon)
    wait_until_active(system, salon)
    expect_done(desktop_page)
    assert linked_devices(system, salon) == 1


def test_who_has_the_partner_token_alone_unlinks_no_salon(system: Deployment, desktop_page: Page) -> None:
    salon = add_salon(system)
    press_connect(desktop_page, system, salon)
    scan_until_linked(desktop_page, system, salon)
    wait_until_active(system, salon)

    system.yclients.send_lifecycle(salon.id, "uninstall")
    noted = "SELECT count(*) FROM marketplace_marketplaceevent WHERE salon_id = %s AND event_type = %s"
    wait_until(
        lambda: system.query(noted, salon.id, "uninstall_denied") == [(1,)],
        "YClients has denied it",
    )
    assert company_status(system, salon) == "active"
    assert system.query(noted, salon.id, "frozen") == system.query(noted, salon.id, "unfrozen") == [(1,)]
    assert linked_devices(system, salon) == 1
