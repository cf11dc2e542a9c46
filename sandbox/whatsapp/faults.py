"""Trouble on demand: which connections and logins are to fail, and how."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

MEDIA_FAULTS = ("unavailable", "missing", "redirect", "corrupt", "slow", "endless", "hang")
FAILURE_REASONS = (401, 402, 403, 405, 503)
KINDS = (
    "drop", "replaced", "device_removed", "failure", "refuse", "silent", "slow", "lose_acks", "qr_lifetime",
    "media", "clear",
)  # fmt: skip


@dataclass(slots=True)
class LoginFailure:
    """The next ``times`` logins end with this reason (402: a ban, with code and seconds to its end)."""

    reason: int
    times: int = 1
    code: int = 101
    expire: int = 3600


@dataclass(slots=True)
class Faults:
    """Standing faults. The key is a phone number, or "" for everybody; times are monotonic seconds."""

    failures: dict[str, LoginFailure] = field(default_factory=dict)
    refuse_until: float = 0.0
    silent_until: dict[str, float] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    acks_to_lose: dict[str, int] = field(default_factory=dict)
    media: tuple[str, int] = ("", 0)  # what is wrong with the next so many uploads and downloads

    def refusing(self) -> bool:
        return time.monotonic() < self.refuse_until

    def silent(self, phone: str) -> bool:
        if not self.silent_until:
            return False
        until = max(self.silent_until.get("", 0.0), self.silent_until.get(phone, 0.0))
        return time.monotonic() < until

    def delay(self, phone: str) -> float:
        """Seconds by which everything sent to this account is held back."""
        return self.delays.get(phone, self.delays.get("", 0.0)) if self.delays else 0.0

    def take_failure(self, phone: str) -> LoginFailure | None:
        """The failure this login has to end with, counted down."""
        for key in (phone, ""):
            failure = self.failures.get(key)
            if failure:
                failure.times -= 1
                if failure.times <= 0:
                    del self.failures[key]
                return failure
        return None

    def take_lost_ack(self, phone: str) -> bool:
        """Whether this account's message is to get no answer from the server, counted down."""
        for key in (phone, ""):
            if self.acks_to_lose.get(key, 0) > 0:
                self.acks_to_lose[key] -= 1
                return True
        return False

    def take_media_fault(self) -> str:
        """What the next upload or download has to suffer, counted down; "" for nothing."""
        fault, times = self.media
        self.media = (fault, times - 1) if times > 1 else ("", 0)
        return fault

    def clear(self) -> None:
        self.media = ("", 0)
        self.failures.clear()
        self.silent_until.clear()
        self.delays.clear()
        self.acks_to_lose.clear()
        self.refuse_until = 0.0

    def describe(self) -> dict[str, Any]:
        moment = time.monotonic()
        return {
            "failures": {key: failure.reason for key, failure in self.failures.items()},
            "refusing": self.refusing(),
            "silent": [key for key, until in self.silent_until.items() if until > moment],
            "delays": dict(self.delays),
            "acks_to_lose": {key: count for key, count in self.acks_to_lose.items() if count},
        }
