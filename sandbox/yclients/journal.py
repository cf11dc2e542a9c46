"""What was asked of the API: for tests that count calls. Secrets never get in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

STRIPPED = "[stripped]"
SECRET_NAMES = frozenset({"api_key", "partner_token", "token", "webhook_urls", "delivery_callback_url"})


@dataclass
class Call:
    """One API request. `status` is None when the connection was cut without an answer.

    `endpoint` is the sandbox's name of the operation, `body` the JSON without its secrets, `at` ISO 8601 in
    UTC, `seconds` how long the answer took, `fault` the fault that was played, if any.
    """

    number: int
    at: str
    method: str
    path: str
    endpoint: str
    remote: str
    body: Any
    status: int | None = None
    seconds: float = 0.0
    fault: str | None = None


class Journal:
    """The last calls, oldest first."""

    def __init__(self, limit: int = 10_000) -> None:
        self._calls: deque[Call] = deque(maxlen=limit)
        self._count = 0

    def open(self, *, at: str, method: str, path: str, endpoint: str, remote: str) -> Call:
        """Start an entry; the caller fills in the outcome."""
        self._count += 1
        call = Call(self._count, at, method, path, endpoint, remote, None)
        self._calls.append(call)
        return call

    def calls(self, *, endpoint: str | None = None, after: int = 0) -> list[Call]:
        """Entries numbered above `after`, of one endpoint when given."""
        return [
            call
            for call in self._calls
            if call.number > after and (endpoint is None or call.endpoint == endpoint)
        ]

    def clear(self) -> None:
        """Forget everything; numbers go on."""
        self._calls.clear()


def strip_secrets(value: Any) -> Any:
    """A copy of a JSON value with every secret-bearing field replaced."""
    if isinstance(value, dict):
        return {
            key: STRIPPED if key in SECRET_NAMES else strip_secrets(inner) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [strip_secrets(inner) for inner in value]
    return value
