"""What happened, in order: a bounded event log and counters that tests and people read."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from typing import Any

log = logging.getLogger("sandbox.whatsapp")
EVENTS_KEPT = 50_000
SECONDS_KEPT = 3600


def masked(phone: str) -> str:
    """A phone number fit for a log line."""
    return f"{phone[:4]}***{phone[-2:]}" if len(phone) > 6 else "***"


class Journal:
    """Events with a running number, monotonic and wall clock seconds, and link counters.

    ``linked`` and ``most_at_once`` are keyed ``phone:device``: the connections that are logged in for
    one device now, and the most that ever were at the same moment (2 shows that a second process used
    the device's keys while the first was still linked).
    """

    def __init__(self) -> None:
        self.number = 0
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self.totals: Counter[str] = Counter()
        self.linked: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.logins_by_second: dict[int, int] = {}

    def note(self, kind: str, *, phone: str = "", device: int | None = None, **more: Any) -> None:
        """Keep an event; the extra fields must be JSON values and never key material or codes."""
        self.number += 1
        self.totals[kind] += 1
        event = {"seq": self.number, "kind": kind, "mono": time.monotonic(), "wall": time.time()}
        if phone:
            event["phone"] = phone
        if device is not None:
            event["device"] = device
        self.events.append(event | more)
        fields: dict[str, Any] = {"phone": masked(phone)} if phone else {}
        fields |= {"device": device} if device is not None else {}
        fields |= {key: value for key, value in more.items() if key not in ("chat", "peer")}
        log.info("%s %s", kind, " ".join(f"{key}={value}" for key, value in fields.items()))

    def since(self, number: int) -> list[dict[str, Any]]:
        """Events after the given number, oldest first."""
        return [event for event in self.events if event["seq"] > number]

    def link_up(self, key: str) -> None:
        self.linked[key] += 1
        self.most_at_once[key] = max(self.most_at_once[key], self.linked[key])
        second = int(time.time())
        self.logins_by_second[second] = self.logins_by_second.get(second, 0) + 1
        while len(self.logins_by_second) > SECONDS_KEPT:
            del self.logins_by_second[next(iter(self.logins_by_second))]

    def link_down(self, key: str) -> None:
        self.linked[key] -= 1
        if self.linked[key] <= 0:
            del self.linked[key]

    def counters(self) -> dict[str, Any]:
        return {
            "totals": dict(self.totals),
            "linked": dict(self.linked),
            "linked_now": sum(self.linked.values()),
            "most_at_once": dict(self.most_at_once),
            "logins_by_second": {str(second): n for second, n in self.logins_by_second.items()},
        }
