"""Fixtures of the journeys: the product as processes, a browser as a person, and what to show on failure.

Journeys are plain functions: playwright's synchronous interface keeps an event loop in this thread.
"""

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.browser import ARGUMENTS, NoBrowserError, find_browser
from tests.conftest import SERVER_URL, TEMPLATE
from tests.databases import create_database, drop_database
from tests.deployments import Deployment, embedded_deployment, production_deployment
from tests.environment import ROOT
from tests.processes import Stack
from tests.server import temporary_folder
from tests.servers import start_redis

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
PATIENCE = 60_000  # milliseconds for what a page is expected to show, on a machine that is busy
DEPLOYMENTS = pytest.StashKey[list[Stack]]()
PAGES = pytest.StashKey[list[Page]]()
_numbers = itertools.count(1)  # of databases, also of those of other folders that use this fixture


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a journey, and a browser test when it uses a page."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.journey)
            # A story waits for conditions that each have a limit; on a slow machine its steps add up.
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(400))
            if "chromium" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def make_database() -> Iterator[Callable[[], str]]:
    """Makes migrated databases, copies of the run's template, and returns their addresses."""
    server_url = os.environ[SERVER_URL]
    names: list[str] = []

    def make() -> str:
        names.append(f"journey_{os.getpid()}_{next(_numbers)}")
        return create_database(server_url, names[-1], template=os.environ[TEMPLATE])

    yield make
    for name in names:
        drop_database(server_url, name)


@pytest.fixture(scope="package")
def deployment(make_database: Callable[[], str]) -> Iterator[Deployment]:
    """The production shape for all stories of this folder that have no other: each adds a salon of its own.

    Short leases, so that a killed pool's sessions are free after seconds; messages are not paced; people come
    as often as they like, for all come from one address.
    """
    with contextlib.ExitStack() as closing:
        redis = closing.enter_context(start_redis())
        system = production_deployment(
            folder=temporary_folder("yclients-whatsapp-journey"),
            database_url=make_database(),
            redis_url=redis.url,
            POOL_LEASE_SECONDS="6",
            SENDING_PACED="false",
            WS_CONNECTS_PER_MINUTE="1000",
            ARRIVALS_PER_MINUTE="1000",
        )
        system.redis = redis
        closing.callback(system.close)
        system.start()  # as in production
        system.forked = True  # what is started again comes quicker
        yield system


@pytest.fixture
def system(deployment: Deployment, request: pytest.FixtureRequest) -> Deployment:
    """The production shape, running: web, pool and worker on PostgreSQL and Redis, no fault planned."""
    request.node.stash.setdefault(DEPLOYMENTS, []).append(deployment)
    deployment.start()
    deployment.whatsapp.fault("clear")
    deployment.yclients.lift_faults()
    return deployment


@pytest.fixture
def demo(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """The embedded shape, running: `manage.py demo`."""
    system = embedded_deployment(folder=temporary_folder("yclients-whatsapp-demo"))
    request.node.stash.setdefault(DEPLOYMENTS, []).append(system)
    yield system
    system.close()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A running Chromium, ended with this folder: playwright keeps an event loop running in this thread, in
    which other tests could not ask the database. Without one these tests are skipped, but fail where CI
    should have installed it."""
    try:
        path = find_browser()
    except NoBrowserError as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(f"{missing}; `make setup` tries to install it")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=str(path), args=ARGUMENTS)


@pytest.fixture
def open_page(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a blank page of a browser profile of its own, phone-sized when asked to be."""
    pages: list[Page] = request.node.stash.setdefault(PAGES, [])

    def open_page(*, phone: bool = False, locale: str = "ru-RU") -> Page:
        context = chromium.new_context(
            viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
            is_mobile=phone,
            has_touch=phone,
            locale=locale,
        )
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.context.close()


@pytest.fixture
def desktop_page(open_page: Callable[..., Page]) -> Page:
    """A blank page of 1280 by 800."""
    return open_page()


@pytest.fixture
def phone_page(open_page: Callable[..., Page]) -> Page:
    """A blank page of a touch screen of 390 by 844."""
    return open_page(phone=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failure shows the end of every process's log and where the pictures of the open pages are."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        stacks, pages = item.stash.get(DEPLOYMENTS, None), item.stash.get(PAGES, None)
        for stack in stacks or []:
            report.sections.append(("process logs", stack.logs()))
        for number, page in enumerate(pages or [], 1):
            report.sections.append((f"page {number}", _picture(item, number, page)))
    return report  # type: ignore[return-value]


def _picture(item: pytest.Item, number: int, page: Page) -> str:
    if page.is_closed():
        return "closed"
    folder = ROOT / "test-results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{re.sub(r'[^a-zA-Z0-9_]+', '-', item.name)}-{number}.png"
    try:
        page.screenshot(path=path, full_page=True)
        return f"{path.relative_to(ROOT)} shows {page.title()}"
    except PlaywrightError as error:  # a browser that died is not to hide why the test failed
        return f"no picture: {error.message}"
