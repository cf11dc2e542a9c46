"""A bot of the salon answers a client: over the public API, between real processes and the real library."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from tests.deployments import Deployment
from tests.environment import ROOT
from tests.journeys.steps import Salon
from tests.linking import link_salon
from tests.processes import wait_until
from tests.server import free_port

SALON, CLIENT = Salon(1901, "79990101901"), "79990201901"
QUESTION = "Какая цена стрижки?"
MAKE_KEY = """
from marketplace.api.keys import create_key
from marketplace.models import ApiKey, Company
company = Company.objects.get(salon_id={salon})
print(create_key(name="bot", companies=[company], scopes=ApiKey.Scope.values)[1])
"""


def call(system: Deployment, key: str, method: str, path: str, **body: Any) -> Any:
    """One request to the public API."""
    headers = {"Authorization": f"Bearer {key}"}
    address = f"{system.url}/api/v1{path}"
    answer = requests.request(method, address, json=body or None, headers=headers, timeout=20)
    assert answer.ok, answer.text
    return answer.json()


@contextmanager
def bot(system: Deployment, key: str, secret: str, port: int) -> Iterator[None]:
    """The example of the documentation, running."""
    environment = {**os.environ, "API_URL": system.url, "API_KEY": key, "WEBHOOK_SECRET": secret}
    command = [sys.executable, str(ROOT / "docs" / "examples" / "bot.py"), str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "listening" in process.stdout.readline()
            yield
        finally:
            process.kill()


def answers(system: Deployment) -> list[str]:
    """What the client's phone has of the bot; its own messages lie in the same chat."""
    texts = [message["text"] for message in system.whatsapp.phone(CLIENT)["inbox"]]
    return [text for text in texts if text != QUESTION]


def test_a_bot_answers_a_client(system: Deployment) -> None:
    link_salon(system, salon=SALON.id, phone=SALON.phone)
    system.whatsapp.add_phone(CLIENT, "Иван")
    key = system.shell(MAKE_KEY.format(salon=SALON.id)).splitlines()[-1]
    port = free_port()
    webhook = call(system, key, "PUT", "/webhook", url=f"http://127.0.0.1:{port}/", statuses=True)
    with bot(system, key, webhook["secret"], port):
        system.whatsapp.send(CLIENT, SALON.phone, QUESTION)
        wait_until(lambda: bool(answers(system)), "the bot's answer is on the client's phone")
        [answer] = answers(system)
        assert "1500" in answer

        def state() -> str:
            [row] = call(system, key, "GET", "/messages?direction=out")["results"]
            return str(row["status"])

        wait_until(lambda: state() in ("delivered", "read"), "the API says that it was delivered")

        def events() -> set[str]:
            rows = call(system, key, "GET", "/webhook/deliveries")["results"]
            return {row["event"] for row in rows if row["state"] == "delivered"}

        wait_until(lambda: events() == {"message.received", "message.status"}, "both events were delivered")
    assert len(answers(system)) == 1
