"""Another user of the same salon gets in by the salon's own WhatsApp, on the real library."""

import re

import requests

from tests.deployments import Deployment
from tests.environment import PARTNER_TOKEN
from tests.journeys.steps import Salon
from tests.linking import link_salon
from tests.onboarding.arrivals import signed_link
from tests.processes import wait_until

PATIENCE = 60.0


def test_a_one_time_link_reaches_the_salons_own_phone_and_opens_its_page(system: Deployment) -> None:
    salon = Salon(2001, "79990200001")
    link_salon(system, salon=salon.id, phone=salon.phone)
    link = signed_link(system.url, salon.id, {"user_id": 777, "name": "Мария"}, key=PARTNER_TOKEN)
    page = requests.get(link, timeout=PATIENCE)
    assert page.status_code == 403
    form = re.findall(r'name="request" value="([^"]+)"', page.text)
    sent = requests.post(f"{system.url}/auth/yclients/access/link", {"request": form[0]}, timeout=PATIENCE)
    assert sent.status_code == 200

    def texts() -> list[str]:
        return [message["text"] for message in system.whatsapp.phone(salon.phone)["inbox"]]

    wait_until(
        lambda: any("access?link=" in text for text in texts()), "the link arrived", why=lambda: str(texts())
    )
    address = next(word for text in texts() for word in text.split() if "access?link=" in word)
    token = address.partition("link=")[2]
    opened = requests.post(address.partition("?")[0], {"link": token}, timeout=PATIENCE)
    assert opened.status_code == 200
    assert opened.url.startswith(f"{system.url}/marketplace/onboarding?token=")
