"""The only HTTP to YClients: one call, its slot, its time limits, its repetition.

Answers are untrusted: their size and time are bounded. Nothing here logs a body, a header or a query.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import requests
import structlog
import urllib3.exceptions
from django.conf import settings
from requests.auth import AuthBase

from marketplace.metrics import YCLIENTS_CALLS, YCLIENTS_SECONDS
from marketplace.yclients import rate_limit
from marketplace.yclients.call_errors import Kind, YClientsError, pause_after, retry_after, sentence_in

log = structlog.get_logger("yclients")

CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 10.0
MAX_ATTEMPTS = 4
MAX_BODY = 1024 * 1024
TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer below 400, or a 301 that was not followed."""

    status: int
    body: bytes
    location: str
    message: str


class _Bearer(AuthBase):
    """An auth object of ours, because requests would let a .netrc file overwrite a plain header."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {settings.YCLIENTS_PARTNER_TOKEN}"
        return request


class Http:
    """Calls YClients; `patience` is the longest time in seconds for one call with all its attempts.

    A `low_priority` one calls only when nobody else waits for a slot, and holds nobody up.
    """

    def __init__(self, *, patience: float, low_priority: bool = False) -> None:
        self.patience = patience
        self._longest_queue = timedelta(0) if low_priority else rate_limit.LONGEST_QUEUE
        self._session = requests.Session()
        self._session.auth = _Bearer()
        self._session.headers.update(
            {
                "Accept": settings.YCLIENTS_ACCEPT,
                "User-Agent": "salon-whatsapp",
                "Accept-Encoding": "identity",
            }
        )

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def call(
        self,
        name: str,
        method: str,
        url: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        repeatable: bool | None = None,
        secrets: tuple[str, ...] = (),
    ) -> Answer:
        """Make one call, again after a passing failure. Raises YClientsError.

        A call that is not `repeatable` (POST unless said) is made again only where YClients surely did not
        act on it. `secrets` are texts to be removed from every message, beside the partner token.
        """
        if not settings.YCLIENTS_PARTNER_TOKEN or not settings.YCLIENTS_APPLICATION_ID:
            raise YClientsError(Kind.UNCONFIGURED, "the partner token or the application id is missing")
        repeatable = method == "GET" if repeatable is None else repeatable
        deadline = time.monotonic() + self.patience
        hidden = (settings.YCLIENTS_PARTNER_TOKEN, *secrets)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return self._attempt(name, method, url, query, body, deadline, hidden)
            except YClientsError as error:
                pause = pause_after(error, attempt)
                again = not error.permanent and (repeatable or not error.outcome_unknown)
                if not again or attempt == MAX_ATTEMPTS or time.monotonic() + pause > deadline:
                    raise
                log.info("yclients call repeated", call=name, attempt=attempt, cause=str(error))
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _attempt(
        self,
        name: str,
        method: str,
        url: str,
        query: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
        deadline: float,
        hidden: tuple[str, ...],
    ) -> Answer:
        left = timedelta(seconds=max(0.0, deadline - time.monotonic()))
        try:
            rate_limit.wait_for_slot(longest_queue=min(left, self._longest_queue))
        except rate_limit.SlotsTaken as error:
            raise YClientsError(Kind.BUSY, str(error), retry_after=error.wait) from error
        started = time.monotonic()
        outcome = "network"
        try:
            answer = self._exchange(method, url, query, body, deadline, hidden)
            outcome = str(answer.status)
            return answer
        except YClientsError as error:
            outcome = str(error.status or error.kind)
            raise
        finally:
            YCLIENTS_SECONDS.labels(name).observe(time.monotonic() - started)
            YCLIENTS_CALLS.labels(name, outcome).inc()
            log.info(
                "yclients call", call=name, outcome=outcome, ms=round((time.monotonic() - started) * 1000)
            )

    def _exchange(
        self,
        method: str,
        url: str,
        query: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
        deadline: float,
        hidden: tuple[str, ...],
    ) -> Answer:
        left = max(0.1, deadline - time.monotonic())
        ends = time.monotonic() + min(READ_TIMEOUT + CONNECT_TIMEOUT, left)
        try:
            with self._session.request(
                method,
                url,
                params=dict(query) if query else None,
                json=body,
                timeout=(min(CONNECT_TIMEOUT, left), min(READ_TIMEOUT, left)),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _read(response, ends)
                return _judge(response, content, hidden)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # Their texts contain addresses with queries, so only the kind of the error is kept.
            raise _network_error(error) from None


def _read(response: requests.Response, ends: float) -> bytes:
    """Return the body. Raises YClientsError when it is too long or does not end in time."""
    content = bytearray()
    while chunk := response.raw.read1(64 * 1024, decode_content=True):
        content += chunk
        if len(content) > MAX_BODY:
            raise YClientsError(
                Kind.MALFORMED, "the answer is too long", status=response.status_code, outcome_unknown=True
            )
        if time.monotonic() > ends:
            raise YClientsError(Kind.TIMEOUT, "the answer did not end in time", outcome_unknown=True)
    return bytes(content)


def _judge(response: requests.Response, content: bytes, hidden: tuple[str, ...]) -> Answer:
    status = response.status_code
    message = sentence_in(content, hidden)
    if status < 400:
        return Answer(status, content, response.headers.get("Location", ""), message)
    if status >= 500 or status in TRANSIENT:
        raise YClientsError(
            Kind.UNAVAILABLE,
            message,
            status=status,
            outcome_unknown=status >= 500,
            retry_after=retry_after(response.headers.get("Retry-After")),
        )
    raise YClientsError(Kind.REFUSED, message, status=status)


def _network_error(error: Exception) -> YClientsError:
    """Tell "never reached YClients" from "reached it, and the answer was lost"."""
    name = type(error).__name__
    if isinstance(error, requests.ConnectTimeout):
        return YClientsError(Kind.TIMEOUT, "no connection in time")
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return YClientsError(Kind.NETWORK, "no connection")
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        return YClientsError(Kind.TIMEOUT, "no answer in time", outcome_unknown=True)
    return YClientsError(Kind.NETWORK, f"the connection was lost ({name})", outcome_unknown=True)
