"""Honest traffic of one linked salon: every request is timed, and what was accepted must not be lost."""

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.deployments import Deployment
from tests.linking import link_salon, link_token
from tests.payloads import load

SALON, SALON_PHONE = 501, "79990001100"
CLIENT = "79991234567"
ADDRESS = "198.51.100.7"  # documentation range, as the reverse proxy would report it
ANSWER_SECONDS = 30.0
PAUSE = 0.1  # seconds between two requests


@dataclass
class HonestTraffic:
    """Sends one request after the other; `took` holds seconds by kind, `refused` what was not answered so."""

    system: Deployment
    took: dict[str, list[float]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    accepted_webhooks: list[int] = field(default_factory=list)
    accepted_messages: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def prepare(self) -> None:
        """Link the salon, and open its page."""
        system = self.system
        link_salon(system, salon=SALON, phone=SALON_PHONE)
        system.whatsapp.add_phone(CLIENT, "Ирина")
        there = system.yclients.salon(SALON)["installation"]
        self.api_key, self.webhook_url = there["api_keys"][-1], there["webhook_urls"][-1]
        self.token = link_token(system.yclients.press_connect(SALON))

    def run(self, until: float) -> None:
        """Until that moment of the monotonic clock."""
        with requests.Session() as http:
            http.headers["X-Forwarded-For"] = ADDRESS
            while time.monotonic() < until:
                number = next(self._numbers)
                self._post_webhook(http, number)
                self._post_message(http, number)
                self._read_page(http)
                self._timed(http, "probe", "GET", f"{self.system.url}/readyz")
                time.sleep(PAUSE)

    def _post_webhook(self, http: requests.Session, number: int) -> None:
        body = {**load("record_update"), "company_id": SALON, "resource_id": 10_000_000 + number}
        if self._timed(http, "webhook", "POST", self.webhook_url, json=body):
            self.accepted_webhooks.append(10_000_000 + number)

    def _post_message(self, http: requests.Session, number: int) -> None:
        if number % 10:  # a phone takes messages more slowly than we take requests
            return
        own_id = f"honest-{number}"
        body = {
            "destination_params": [{"id": own_id, "phone": CLIENT}],
            "text": f"Ждём вас завтра, {number}",
            "channel": "whatsapp",
            "dispatch_type": "service",
            "delivery_callback_url": f"{self.system.yclients.url}/nowhere",
        }
        headers = {"Authorization": f"Bearer {self.api_key}"}
        url = f"{self.system.url}/yclients/messages/"
        if self._timed(http, "message", "POST", url, json=body, headers=headers):
            self.accepted_messages.append(own_id)

    def _read_page(self, http: requests.Session) -> None:
        url = f"{self.system.url}/marketplace/api/status/company_{SALON}"
        self._timed(http, "page", "GET", url, headers={"Authorization": f"Bearer {self.token}"})

    def _timed(self, http: requests.Session, kind: str, method: str, url: str, **how: Any) -> bool:
        began = time.monotonic()
        try:
            answer = http.request(method, url, timeout=ANSWER_SECONDS, **how)
            outcome = "" if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"
        except requests.RequestException as error:
            outcome = repr(error)
        self.took.setdefault(kind, []).append(time.monotonic() - began)
        if outcome:
            self.refused.append(f"{kind}: {outcome}")
        return not outcome

    # --- what must be so at the end ---------------------------------------------------------------

    def lost(self) -> dict[str, int]:
        """How much of what was answered 200 is not in the database, or did not reach the client's phone."""
        statement = "SELECT body FROM marketplace_inboundwebhook WHERE kind = 'entity'"
        stored = {body.get("resource_id") for (body,) in self.system.query(statement)}
        texts = {message["text"] for message in self.system.whatsapp.phone(CLIENT)["inbox"]}
        expected = {f"Ждём вас завтра, {own_id.partition('-')[2]}" for own_id in self.accepted_messages}
        return {
            "webhooks": len(set(self.accepted_webhooks) - stored),
            "messages": len(expected - texts),
        }
