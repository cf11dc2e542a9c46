"""The main story with something breaking in the middle; each ends active, with one key and one event."""

import pytest
from playwright.sync_api import Page, WebSocketRoute

from tests.deployments import Deployment
from tests.journeys.steps import (
    Salon,
    add_salon,
    assert_activated_once,
    company_status,
    expect_done,
    press_connect,
    qr_from_pixels,
    scan,
    scan_until_linked,
    wait_until_active,
)
from tests.processes import wait_until


@pytest.fixture
def salon(system: Deployment) -> Salon:
    """A salon that has not installed anything."""
    return add_salon(system)


def assert_linked_and_active(page: Page, system: Deployment, salon: Salon) -> None:
    wait_until_active(system, salon)
    expect_done(page)
    assert_activated_once(system, salon)


def test_the_pool_is_killed_while_the_code_is_shown(
    system: Deployment, salon: Salon, desktop_page: Page
) -> None:
    press_connect(desktop_page, system, salon)
    qr_from_pixels(desktop_page)
    system.kill("pool")
    system.start("pool")
    scan_until_linked(desktop_page, system, salon)
    assert_linked_and_active(desktop_page, system, salon)


def test_the_pool_is_killed_after_the_scan(system: Deployment, salon: Salon, desktop_page: Page) -> None:
    press_connect(desktop_page, system, salon)
    scan(desktop_page, system, salon)
    wait_until(lambda: "whatsapp_connected" in events(system, salon), "the link was noted")
    system.kill("pool")
    system.start("pool")
    assert_linked_and_active(desktop_page, system, salon)


@pytest.mark.parametrize(
    ("name", "fault"), [("worker", "slow_answer"), ("pool", "slow"), ("web", "slow_answer")]
)
def test_a_process_is_killed_after_activation_began(
    system: Deployment, salon: Salon, desktop_page: Page, name: str, fault: str
) -> None:
    system.yclients.fault(fault, endpoint="activation", seconds=3)
    press_connect(desktop_page, system, salon)
    scan(desktop_page, system, salon)
    wait_until(lambda: company_status(system, salon) == "activating", "the activation began")
    system.kill(name)
    if name == "worker":
        let_claim_run_out(system, salon)
    system.start(name)
    assert_linked_and_active(desktop_page, system, salon)


def test_redis_is_restarted_while_the_code_is_shown(
    system: Deployment, salon: Salon, desktop_page: Page
) -> None:
    press_connect(desktop_page, system, salon)
    qr_from_pixels(desktop_page)
    system.redis.kill()
    system.redis.start()
    scan_until_linked(desktop_page, system, salon)
    assert_linked_and_active(desktop_page, system, salon)


def test_the_page_can_only_poll(system: Deployment, salon: Salon, desktop_page: Page) -> None:
    refused: list[str] = []

    def refuse(socket: WebSocketRoute) -> None:
        refused.append(socket.url)
        socket.close()

    desktop_page.route_web_socket("**/*", refuse)
    press_connect(desktop_page, system, salon)
    scan(desktop_page, system, salon)
    assert_linked_and_active(desktop_page, system, salon)
    assert refused


def test_every_page_is_closed_after_the_scan(system: Deployment, salon: Salon, desktop_page: Page) -> None:
    press_connect(desktop_page, system, salon)
    scan(desktop_page, system, salon)
    desktop_page.close()
    wait_until_active(system, salon)
    assert_activated_once(system, salon)


def let_claim_run_out(system: Deployment, salon: Salon) -> None:
    """A killed worker's claim on the activation ends now, instead of after half a minute."""
    system.query(
        "UPDATE marketplace_company SET activation_claimed_until = now()"
        " WHERE salon_id = %s AND activation_claimed_until > now() RETURNING id",
        salon.id,
    )


def events(system: Deployment, salon: Salon) -> list[str]:
    """The salon's event types, oldest first."""
    statement = "SELECT event_type FROM marketplace_marketplaceevent WHERE salon_id = %s ORDER BY id"
    return [row[0] for row in system.query(statement, salon.id)]
