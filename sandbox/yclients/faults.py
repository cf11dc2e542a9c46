"""Misbehaviour on demand: the next N requests to an endpoint go wrong in a chosen way."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum

# The names of the API's operations, as faults and the journal use them.
ENDPOINTS = (
    "company",
    "callback",
    "callback_redirect",
    "install_status",
    "salons",
    "uninstall",
    "payment",
    "refund",
    "payment_link",
    "tariffs",
    "discount",
    "channel",
    "short_names",
    "delivery_callback",
)
# Names that stand for several operations.
GROUPS = {"activation": ("callback", "callback_redirect"), "*": ENDPOINTS}


class FaultKind(StrEnum):
    """What goes wrong. `down` cuts every connection; the others are one answer each."""

    SLOW = "slow"
    SLOW_ANSWER = "slow_answer"
    INTERNAL_ERROR = "500"
    UNAVAILABLE = "503"
    ALREADY_INSTALLED = "403"
    INVALID = "422"
    TOO_MANY = "429"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    DOWN = "down"


class FaultError(ValueError):
    """A fault was asked for that does not exist."""


@dataclass
class Fault:
    """`times` requests (None: until lifted) to `endpoint`. `seconds` is the delay or the Retry-After."""

    id: int
    endpoint: str
    kind: FaultKind
    times: int | None
    seconds: float
    played: int = 0

    def matches(self, endpoint: str) -> bool:
        """Whether this fault is for that operation."""
        return endpoint in GROUPS.get(self.endpoint, (self.endpoint,))


class Faults:
    """Faults in the order they were asked for; the oldest that matches is played first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)

    def add(
        self,
        *,
        kind: FaultKind | str,
        endpoint: str = "*",
        times: int = 1,
        until_lifted: bool = False,
        seconds: float = 1.0,
    ) -> Fault:
        """Plan a fault for the next `times` requests; `down` always lasts until lifted."""
        try:
            fault_kind = FaultKind(kind)
        except ValueError as error:
            raise FaultError(f"There is no fault {kind!r}.") from error
        if endpoint not in ENDPOINTS and endpoint not in GROUPS:
            raise FaultError(f"There is no endpoint {endpoint!r}.")
        if times < 1:
            raise FaultError("A fault is played at least once.")
        if seconds < 0:
            raise FaultError("A fault cannot last less than no time.")
        endless = until_lifted or fault_kind is FaultKind.DOWN
        fault = Fault(next(self._ids), endpoint, fault_kind, None if endless else times, seconds)
        self._faults.append(fault)
        return fault

    def take(self, endpoint: str) -> Fault | None:
        """The fault to play for a request that has just come in."""
        for fault in self._faults:
            if fault.matches(endpoint):
                fault.played += 1
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                return fault
        return None

    def planned(self) -> list[Fault]:
        """What is still to come."""
        return list(self._faults)

    def lift(self, fault_id: int | None = None) -> int:
        """Take back one fault, or all of them; returns how many."""
        before = len(self._faults)
        self._faults = [f for f in self._faults if fault_id is not None and f.id != fault_id]
        return before - len(self._faults)
