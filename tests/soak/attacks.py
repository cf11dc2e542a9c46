"""What attackers do to a running deployment over HTTP and WebSocket, each in a thread, again and again."""

import contextlib
import json
import random
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests

from tests.deployments import Deployment
from tests.payloads import load
from tests.soak.honest import SALON, HonestTraffic

ANSWER_SECONDS = 30.0
SLOW_CONNECTIONS = 50
PARALLEL = 40
BIG = 3 * 1024 * 1024  # bytes


class Attacks:
    """Runs them side by side; `answers` counts the status codes of each, 0 for a connection that broke."""

    def __init__(self, system: Deployment, honest: HonestTraffic, *, jwt_secret: str) -> None:
        self.system, self.honest, self.jwt_secret = system, honest, jwt_secret
        self.answers: dict[str, Counter[int]] = {}
        self.failures: list[str] = []
        there = urlsplit(system.url)
        self.address = there.hostname or "127.0.0.1", there.port or 80
        self.kinds: dict[str, Callable[[], None]] = {
            "forged": self.forge,
            "replayed": self.replay,
            "expired": self.expire,
            "oversized": self.oversize,
            "slow": self.slow,
            "abandoned": self.abandon,
            "parallel": self.parallel,
        }

    def start(self, until: float) -> list[threading.Thread]:
        """One thread for each kind, until that moment of the monotonic clock."""
        threads = [
            threading.Thread(target=self._repeat, args=(attack, until), name=name, daemon=True)
            for name, attack in self.kinds.items()
        ]
        for thread in threads:
            thread.start()
        return threads

    def _repeat(self, attack: Callable[[], None], until: float) -> None:
        try:
            while time.monotonic() < until:
                attack()
                time.sleep(0.05)
        except Exception as error:  # noqa: BLE001  a thread that ended early must not look like a success
            self.failures.append(f"{threading.current_thread().name} ended: {error!r}")

    def _ask(self, kind: str, method: str, path: str, **how: Any) -> None:
        url = path if path.startswith("http") else f"{self.system.url}{path}"
        forwarded = {"X-Forwarded-For": f"203.0.113.{random.randrange(1, 20)}"}
        how["headers"] = forwarded | how.get("headers", {})
        status = 0
        with contextlib.suppress(requests.RequestException):
            status = requests.request(
                method, url, timeout=ANSWER_SECONDS, allow_redirects=False, **how
            ).status_code
        self.answers.setdefault(kind, Counter())[status] += 1

    def forge(self) -> None:
        """Secrets, keys, tokens and signatures that are not ours."""
        body = load("record_update")
        self._ask("forged", "POST", f"/webhook/yclients/{uuid.uuid4().hex}", json=body)
        self._ask("forged", "POST", "/webhook/yclients", json={**load("uninstall"), "partner_token": "guess"})
        bearer = {"Authorization": f"Bearer {uuid.uuid4().hex}"}
        self._ask("forged", "POST", "/yclients/messages/", json={"text": "x"}, headers=bearer)
        self._status("forged", self._token(secret="another-secret-of-sufficient-length-0000"))
        link = self.system.yclients.press_connect(SALON, signature="wrong")
        self._ask("forged", "GET", link)

    def replay(self) -> None:
        """What was genuine once, again."""
        body = {**load("record_update"), "company_id": SALON, "resource_id": 77}
        self._ask("replayed", "POST", self.honest.webhook_url, json=body)
        self._ask("replayed", "GET", self._old_link())

    def _old_link(self) -> str:
        if not hasattr(self, "_link"):
            self._link = self.system.yclients.press_connect(SALON)
        return self._link

    def expire(self) -> None:
        """A token of ours whose hour is over."""
        self._status("expired", self._token(expires=-5))

    def oversize(self) -> None:
        """Bodies, headers, numbers and nesting beyond every limit."""
        self._ask("oversized", "POST", "/webhook/yclients", data=b"[" * BIG)
        self._ask("oversized", "POST", "/yclients/messages/", data=b"x" * 2 * BIG)
        self._ask("oversized", "GET", "/healthz", headers={"X-Long": "x" * 60_000})
        self._ask("oversized", "GET", f"/marketplace/api/status/company_{'9' * 5000}")
        self._ask("oversized", "POST", "/webhook/yclients", data=json.dumps({"company_id": 10**400}))

    def slow(self) -> None:
        """Connections that send a byte a second, of headers and of a body."""
        with contextlib.ExitStack() as closing:
            lines = []
            for number in range(SLOW_CONNECTIONS):
                with contextlib.suppress(OSError):
                    line = closing.enter_context(socket.create_connection(self.address, ANSWER_SECONDS))
                    line.sendall(b"POST /webhook/yclients HTTP/1.1\r\nHost: 127.0.0.1\r\n")
                    if number % 2:
                        line.sendall(b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
                    lines.append(line)
            for _ in range(10):
                for line in lines:
                    with contextlib.suppress(OSError):
                        line.sendall(b"x")
                time.sleep(1)
        self.answers.setdefault("slow", Counter())[0] += SLOW_CONNECTIONS

    def abandon(self) -> None:
        """Requests whose client hangs up before the answer."""
        target = urlsplit(self.system.yclients.press_connect(SALON))
        for path in (f"{target.path}?{target.query}", "/readyz", "/marketplace/health", "/admin/login/"):
            with contextlib.suppress(OSError), socket.create_connection(self.address, ANSWER_SECONDS) as line:
                forwarded = f"X-Forwarded-For: 203.0.113.{random.randrange(20, 250)}"
                line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{forwarded}\r\n\r\n".encode())
        self.answers.setdefault("abandoned", Counter())[0] += 4

    def parallel(self) -> None:
        """Many at once: passwords for the admin, and unsigned links of guessed salons."""
        with requests.Session() as http:
            with contextlib.suppress(requests.RequestException):
                http.get(f"{self.system.url}/admin/login/", timeout=ANSWER_SECONDS)
            token = http.cookies.get("csrftoken", "")
        form = {"username": "root", "password": "guess", "csrfmiddlewaretoken": token}
        cookies = {"csrftoken": token}
        with ThreadPoolExecutor(PARALLEL) as threads:
            for number in range(PARALLEL // 2):
                link = f"/auth/yclients/redirect?salon_id={number}"
                threads.submit(self._ask, "parallel", "GET", link)
                threads.submit(self._ask, "parallel", "POST", "/admin/login/", data=form, cookies=cookies)

    def _status(self, kind: str, token: str) -> None:
        bearer = {"Authorization": f"Bearer {token}"}
        self._ask(kind, "GET", f"/marketplace/api/status/company_{SALON}", headers=bearer)
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        self._ask(kind, "GET", "/ws/marketplace/", headers={**bearer, **upgrade, **key})

    def _token(self, *, secret: str = "", expires: float = 3600) -> str:
        now = datetime.now(UTC)
        claims = {
            "company_id": 1,
            "salon_id": SALON,
            "salon_ids": [SALON],
            "type": "marketplace_registration",
            "jti": uuid.uuid4().hex,
            "token_type": "marketplace_registration",
            "iat": now - timedelta(hours=1),
            "exp": now + timedelta(seconds=expires),
        }
        return jwt.encode(claims, secret or self.jwt_secret, algorithm="HS256")
