"""The main story with something breaking in the middle; each ends active, with one key and one event."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocketRoute

from tests.deployments import PRODUCT, Deployment
from tests.journeys.steps import (
    add_salon_and_phone,
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
from tests.servers import Redis


@pytest.fixture
def system(make_deployment: Callable[..., Deployment]) -> Deployment:
    """The production shape; short leases, so that a killed pool's sessions are free after seconds."""
    system = make_deployment(POOL_LEASE_SECONDS="6")
    system.start(*PRODUCT)
    add_salon_and_phone(system)
    return system


def assert_linked_and_active(page: Page, system: Deployment) -> None:
    wait_until_active(system)
    expect_done(page)
    assert_activated_once(system)


def test_the_pool_is_killed_while_the_code_is_shown(system: Deployment, desktop_page: Page) -> None:
    press_connect(desktop_page, system)
    qr_from_pixels(desktop_page)
    system.kill("pool")
    system.start("pool")
    scan_until_linked(desktop_page, system)
    assert_linked_and_active(desktop_page, system)


def test_the_pool_is_killed_after_the_scan(system: Deployment, desktop_page: Page) -> None:
    press_connect(desktop_page, system)
    scan(desktop_page, system)
    wait_until(lambda: "whatsapp_connected" in events(system), "the link was noted")
    system.kill("pool")
    system.start("pool")
    assert_linked_and_active(desktop_page, system)


@pytest.mark.parametrize(
    ("name", "fault"), [("worker", "slow_answer"), ("pool", "slow"), ("web", "slow_answer")]
)
def test_a_process_is_killed_after_activation_began(
    system: Deployment, desktop_page: Page, name: str, fault: str
) -> None:
    system.yclients.fault(fault, endpoint="activation", seconds=3)
    press_connect(desktop_page, system)
    scan(desktop_page, system)
    wait_until(lambda: company_status(system) == "activating", "the activation began")
    system.kill(name)
    system.start(name)
    assert_linked_and_active(desktop_page, system)


def test_redis_is_restarted_while_the_code_is_shown(
    system: Deployment, own_redis: Redis, desktop_page: Page
) -> None:
    press_connect(desktop_page, system)
    qr_from_pixels(desktop_page)
    own_redis.kill()
    own_redis.start()
    scan_until_linked(desktop_page, system)
    assert_linked_and_active(desktop_page, system)


def test_the_page_can_only_poll(system: Deployment, desktop_page: Page) -> None:
    refused: list[str] = []

    def refuse(socket: WebSocketRoute) -> None:
        refused.append(socket.url)
        socket.close()

    desktop_page.route_web_socket("**/*", refuse)
    press_connect(desktop_page, system)
    scan(desktop_page, system)
    assert_linked_and_active(desktop_page, system)
    assert refused


def test_every_page_is_closed_after_the_scan(system: Deployment, desktop_page: Page) -> None:
    press_connect(desktop_page, system)
    scan(desktop_page, system)
    desktop_page.close()
    wait_until_active(system)
    assert_activated_once(system)


def events(system: Deployment) -> list[str]:
    """The event types of every salon, oldest first."""
    return [row[0] for row in system.query("SELECT event_type FROM marketplace_marketplaceevent ORDER BY id")]
