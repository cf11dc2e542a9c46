"""A salon linked as its owner does it, without a browser: by the redirect, the page's API and the phone."""

from urllib.parse import parse_qs, urlsplit

import requests

from tests.deployments import Deployment
from tests.processes import wait_until
from tests.stand_ins import OutsideError

PATIENCE = 60.0  # seconds


def link_salon(system: Deployment, *, salon: int, phone: str, title: str = "Салон Анны") -> None:
    """Installs, scans the code with the salon's own phone, and waits until the integration is active."""
    system.yclients.add_salon(salon, title=title)
    system.whatsapp.add_phone(phone, title)
    token = link_token(system.yclients.press_connect(salon))
    wait_until(
        lambda: _scanned(system, token, phone),
        f"the phone of salon {salon} took a code",
        seconds=PATIENCE,
    )
    wait_until(lambda: is_active(system, salon), f"salon {salon} is active", seconds=PATIENCE)


def link_token(link: str) -> str:
    """Opens the marketplace's link and returns the token that it leads to."""
    arrival = requests.get(link, allow_redirects=False, timeout=PATIENCE)
    return parse_qs(urlsplit(arrival.headers["Location"]).query)["token"][0]


def _scanned(system: Deployment, token: str, phone: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{system.url}/marketplace/api/qr", headers=headers, timeout=PATIENCE)
    if answer.status_code != 200:
        return bool(answer.json().get("code") == "already_linked")
    try:
        system.whatsapp.scan(phone, answer.json()["qr"])
    except OutsideError:  # it ran out between the two
        return False
    return True


def is_active(system: Deployment, salon: int) -> bool:
    """Whether the integration is active and its line is up."""
    statement = (
        "SELECT 1 FROM marketplace_company c JOIN whatsapp_session s ON s.id = c.session_id "
        "WHERE c.salon_id = %s AND c.status = 'active' AND s.status = 'connected'"
    )
    return bool(system.query(statement, salon))
