"""Delivers what YCLIENTS sends by itself: a few tries, ten seconds of patience, a log of the answers."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sandbox.yclients.clock import Clock
from sandbox.yclients.journal import STRIPPED, strip_secrets

# The address of the operator endpoint and of lifecycle webhooks hold no secret; the part after this does.
HIDDEN_AFTER = "/webhook/yclients/"


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass
class Attempt:
    """One try: `status` is None when there was no answer, and `error` then says why."""

    at: str
    seconds: float
    status: int | None
    error: str | None
    answer: str


@dataclass
class Outgoing:
    """Something to send: `body` is the exact text; `label` is for people."""

    kind: str
    label: str
    url: str
    body: str
    salon_id: int | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    tries: int | None = None


@dataclass
class Delivery:
    """What became of one Outgoing; neither `target` nor `body` contains a secret."""

    id: int
    kind: str
    label: str
    salon_id: int | None
    target: str
    body: Any
    created_at: str
    state: DeliveryState = DeliveryState.PENDING
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def last_status(self) -> int | None:
        """The HTTP status of the last try."""
        return self.attempts[-1].status if self.attempts else None


class Sender:
    """Sends in order or side by side. `patience` and `pause` are seconds; the pause doubles each time."""

    def __init__(
        self, *, clock: Clock, tries: int = 3, patience: float = 10.0, pause: float = 1.0, kept: int = 2_000
    ) -> None:
        self.tries = tries
        self.patience = patience
        self.pause = pause
        self.deliveries: deque[Delivery] = deque(maxlen=kept)
        self._clock = clock
        self._ids = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Get ready to send; needs a running loop."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))

    async def close(self) -> None:
        """Give up what is under way and close connections."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def start(
        self, outgoing: Sequence[Outgoing], *, parallel: bool = False
    ) -> tuple[list[Delivery], asyncio.Task[None]]:
        """Send in the background; the deliveries are already in the log, the task ends with the last."""
        pairs = [(item, self._log(item)) for item in outgoing]
        task = self._spawn(self._run(pairs, parallel=parallel))
        return [delivery for _, delivery in pairs], task

    async def send(self, outgoing: Sequence[Outgoing], *, parallel: bool = False) -> list[Delivery]:
        """Send and wait until each was answered or given up."""
        deliveries, task = self.start(outgoing, parallel=parallel)
        await task
        return deliveries

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _log(self, item: Outgoing) -> Delivery:
        delivery = Delivery(
            id=next(self._ids),
            kind=item.kind,
            label=item.label,
            salon_id=item.salon_id,
            target=_public_address(item.url),
            body=_public_body(item.body),
            created_at=self._clock.now().isoformat(),
        )
        self.deliveries.append(delivery)
        return delivery

    async def _run(self, pairs: Sequence[tuple[Outgoing, Delivery]], *, parallel: bool) -> None:
        if parallel:
            await asyncio.gather(*(self._deliver(item, delivery) for item, delivery in pairs))
            return
        for item, delivery in pairs:
            await self._deliver(item, delivery)

    async def _deliver(self, item: Outgoing, delivery: Delivery) -> None:
        tries = item.tries or self.tries
        for number in range(tries):
            if number:
                await asyncio.sleep(self.pause * 2 ** (number - 1))
            attempt = await self._attempt(item)
            delivery.attempts.append(attempt)
            if attempt.status is not None and 200 <= attempt.status < 300:
                delivery.state = DeliveryState.DELIVERED
                return
        delivery.state = DeliveryState.FAILED

    async def _attempt(self, item: Outgoing) -> Attempt:
        if self._session is None:
            raise RuntimeError("The sender is not open.")
        at, started = self._clock.now().isoformat(), time.monotonic()
        status, error, answer = None, None, ""
        try:
            async with asyncio.timeout(self.patience):
                async with self._session.post(
                    item.url,
                    data=item.body.encode(),
                    headers={"Content-Type": item.content_type, **item.headers},
                    allow_redirects=False,
                ) as response:
                    status, answer = response.status, (await response.text())[:20_000]
        except TimeoutError:
            error = f"No answer within {self.patience:g} s."
        except (aiohttp.ClientError, OSError) as problem:
            error = f"{type(problem).__name__}: the connection failed."
        return Attempt(at, round(time.monotonic() - started, 4), status, error, answer)


def _public_address(url: str) -> str:
    parts = urlsplit(url)
    path = parts.path
    if path.startswith(HIDDEN_AFTER):
        path = HIDDEN_AFTER + STRIPPED
    return f"{parts.scheme}://{parts.netloc}{path}"


def _public_body(body: str) -> Any:
    try:
        return strip_secrets(json.loads(body))
    except ValueError:
        return body[:2_000]
