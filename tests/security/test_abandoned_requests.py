"""Clients that hang up in the middle: whatever they asked for, others go on being served.

Each hangs up while YClients, on whom the request waits, is silent. A connection to the database that is not
given back by one in twenty of them would already stop the process.
"""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from tests.deployments import Deployment, production_deployment
from tests.linking import link_token
from tests.processes import wait_until
from tests.server import temporary_folder
from tests.servers import Redis

pytestmark = pytest.mark.journey

ABANDONED = int(os.environ.get("ABANDONED", "100"))  # of each kind; ABANDONED=500 for a longer attack
SALON, PATIENCE = 501, 60.0


@pytest.fixture
def system(make_database: Callable[[], str], own_redis: Redis) -> Iterator[Deployment]:
    """A web process and a YClients."""
    system = production_deployment(
        folder=temporary_folder("yclients-whatsapp-abandoned"),
        database_url=make_database(),
        redis_url=own_redis.url,
        forked=True,
        ARRIVALS_PER_MINUTE="100000",
    )
    try:
        system.start("web")
        system.yclients.add_salon(SALON, title="Салон Анны")
        yield system
    finally:
        system.close()


def hang_up(system: Deployment, request: str) -> None:
    """Send a whole request, and close the connection without waiting for the answer."""
    address = urlsplit(system.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=PATIENCE) as line:
        line.sendall(request.encode())


def post(path: str, body: str, *headers: str) -> str:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])


def get(path: str, *headers: str) -> str:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""])


def test_abandoned_requests_of_each_kind_leave_nothing_behind(system: Deployment) -> None:
    link = system.yclients.press_connect(SALON)
    token = link_token(link)
    system.yclients.fault("slow", endpoint="*", seconds=30, until_lifted=True)
    bearer = f"Authorization: Bearer {token}"
    kinds = [
        get(link.removeprefix(system.url)),
        get(f"/marketplace/onboarding?token={token}"),
        get(f"/marketplace/api/status/company_{SALON}", bearer),
        post("/marketplace/api/qr", "{}", bearer),
        post("/marketplace/activate", f'{{"token": "{token}"}}'),
        post("/webhook/yclients", '{"company_id": 501, "resource": "record"}'),
        post("/yclients/messages/", "{}", "Authorization: Bearer nonsense"),
        get("/admin/login/"),
        get("/readyz"),
    ]
    with ThreadPoolExecutor(max_workers=20) as crowd:
        for kind in kinds:
            list(crowd.map(lambda _number, kind=kind: hang_up(system, kind), range(ABANDONED)))
    system.yclients.lift_faults()
    honest = {
        "/healthz": 200,
        "/admin/login/": 200,
        f"/marketplace/onboarding?token={token}": 200,
    }
    for path, expected in honest.items():
        assert requests.get(f"{system.url}{path}", timeout=PATIENCE).status_code == expected
    answer = requests.post(f"{system.url}/webhook/yclients", json={"a": 1}, timeout=PATIENCE)
    assert answer.status_code < 500
    assert requests.get(f"{system.url}/readyz", timeout=PATIENCE).json()["parts"]["database"] == "ok"
    wait_until(lambda: arrives(link), "an honest owner gets in")


def arrives(link: str) -> bool:
    """False while the calls of those who hung up still take every thread that may wait for YClients."""
    return requests.get(link, allow_redirects=False, timeout=PATIENCE).status_code == 302
