"""A salon linked as its owner does it, without a browser: by the redirect, the page's API and the phone."""

from urllib.parse import parse_qs, urlsplit

import requests

from tests.outside import OutsideError
from tests.processes import wait_until
from tests.scene import Scene

PATIENCE = 60.0  # seconds


def link_salon(scene: Scene, *, salon: int, phone: str, title: str = "Салон Анны") -> None:
    """Installs, scans the code with the salon's own phone, and waits until the integration is active."""
    scene.yclients.add_salon(salon, title=title)
    scene.whatsapp.add_phone(phone, title)
    arrival = requests.get(scene.yclients.press_connect(salon), allow_redirects=False, timeout=PATIENCE)
    token = parse_qs(urlsplit(arrival.headers["Location"]).query)["token"][0]
    wait_until(
        lambda: _scanned(scene, token, phone), f"the phone of salon {salon} took a code", seconds=PATIENCE
    )
    wait_until(lambda: is_active(scene, salon), f"salon {salon} is active", seconds=PATIENCE)


def _scanned(scene: Scene, token: str, phone: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{scene.url}/marketplace/api/qr", headers=headers, timeout=PATIENCE)
    if answer.status_code != 200:
        return bool(answer.json().get("code") == "already_linked")
    try:
        scene.whatsapp.scan(phone, answer.json()["qr"])
    except OutsideError:  # it ran out between the two
        return False
    return True


def is_active(scene: Scene, salon: int) -> bool:
    """Whether the integration is active and its line is up."""
    statement = (
        "SELECT 1 FROM marketplace_company c JOIN whatsapp_session s ON s.id = c.session_id "
        "WHERE c.salon_id = %s AND c.status = 'active' AND s.status = 'connected'"
    )
    return bool(scene.query(statement, salon))
