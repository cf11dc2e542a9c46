"""The main story with something breaking in the middle; each ends active, with one key and one event."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocketRoute

from tests.journeys.story import (
    assert_activated_once,
    company_status,
    press_connect,
    qr_from_pixels,
    scan,
    scan_until_linked,
    see_done,
    set_the_scene,
    wait_until_active,
)
from tests.processes import wait_until
from tests.scene import PRODUCT, Scene
from tests.servers import Redis


@pytest.fixture
def scene(make_scene: Callable[..., Scene]) -> Scene:
    """The production shape; short leases, so that a killed pool's sessions are free after seconds."""
    scene = make_scene(POOL_LEASE_SECONDS="6")
    scene.start(*PRODUCT)
    set_the_scene(scene)
    return scene


def ends_well(page: Page, scene: Scene) -> None:
    wait_until_active(scene)
    see_done(page)
    assert_activated_once(scene)


def test_the_pool_is_killed_while_the_code_is_shown(scene: Scene, desktop_page: Page) -> None:
    press_connect(desktop_page, scene)
    qr_from_pixels(desktop_page)
    scene.kill("pool")
    scene.start("pool")
    scan_until_linked(desktop_page, scene)
    ends_well(desktop_page, scene)


def test_the_pool_is_killed_after_the_scan(scene: Scene, desktop_page: Page) -> None:
    press_connect(desktop_page, scene)
    scan(desktop_page, scene)
    wait_until(lambda: "whatsapp_connected" in events(scene), "the link was noted")
    scene.kill("pool")
    scene.start("pool")
    ends_well(desktop_page, scene)


@pytest.mark.parametrize(
    ("name", "fault"), [("worker", "slow_answer"), ("pool", "slow"), ("web", "slow_answer")]
)
def test_a_process_is_killed_after_activation_began(
    scene: Scene, desktop_page: Page, name: str, fault: str
) -> None:
    scene.yclients.fault(fault, endpoint="activation", seconds=3)
    press_connect(desktop_page, scene)
    scan(desktop_page, scene)
    wait_until(lambda: company_status(scene) == "activating", "the activation began")
    scene.kill(name)
    scene.start(name)
    ends_well(desktop_page, scene)


def test_redis_is_restarted_while_the_code_is_shown(
    scene: Scene, own_redis: Redis, desktop_page: Page
) -> None:
    press_connect(desktop_page, scene)
    qr_from_pixels(desktop_page)
    own_redis.kill()
    own_redis.start()
    scan_until_linked(desktop_page, scene)
    ends_well(desktop_page, scene)


def test_the_page_can_only_poll(scene: Scene, desktop_page: Page) -> None:
    refused: list[str] = []

    def refuse(socket: WebSocketRoute) -> None:
        refused.append(socket.url)
        socket.close()

    desktop_page.route_web_socket("**/*", refuse)
    press_connect(desktop_page, scene)
    scan(desktop_page, scene)
    ends_well(desktop_page, scene)
    assert refused


def test_every_page_is_closed_after_the_scan(scene: Scene, desktop_page: Page) -> None:
    press_connect(desktop_page, scene)
    scan(desktop_page, scene)
    desktop_page.close()
    wait_until_active(scene)
    assert_activated_once(scene)


def events(scene: Scene) -> list[str]:
    """The event types of every salon, oldest first."""
    return [row[0] for row in scene.query("SELECT event_type FROM marketplace_marketplaceevent ORDER BY id")]
