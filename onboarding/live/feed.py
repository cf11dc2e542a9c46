"""Hints that a session changed, for one live connection: new codes by NOTIFY, the rest by the channel layer.

The consumer subscribes to the layer by itself instead of leaving it to Channels: there a layer that does not
answer ends the connection. Here it costs speed only, for whoever waits for a hint also polls.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import structlog
from channels.layers import InMemoryChannelLayer, get_channel_layer

from config.shared import hints
from config.shared.backoff import backoff
from config.shared.waiting import wait_at_most
from whatsapp.sessions import code_hints

log = structlog.get_logger("onboarding")

POLL_NEAR = 1.0  # seconds; the in-memory layer has no other process to hear of
POLL_FAR = 2.5
POLL_MOST = 10.0  # whatever hints say; the salon's row and the reading of a view have none
FIRST_TRY = 2.0
RETRY_FIRST, RETRY_MOST = 1.0, 30.0
CODES_MOST = 8  # hints of codes that wait until the page has been sent those before


async def end(*tasks: "asyncio.Task[None]") -> None:
    """Cancel tasks until they have ended: a Redis client that is just subscribing loses a cancellation."""
    while left := {task for task in tasks if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.2)


class Feed:
    """Wakes `wait` when the session is hinted at; `listening` runs it.

    `show_code` gets what a hint of a code says, and returns True when nothing is left to wait for.
    """

    def __init__(self, session_id: uuid.UUID, show_code: Callable[[str], Awaitable[bool]]) -> None:
        self._session_id = session_id
        self._show_code = show_code
        self._codes: asyncio.Queue[str] = asyncio.Queue(CODES_MOST)
        self._group = hints.group_of(session_id)
        self._hinted = asyncio.Event()
        self._subscribed = False
        self._told_at = 0.0  # when a hint left nothing to read

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Feed"]:
        """Subscribe for the length of the block, again and again when the channel layer fails.

        The first attempt is made before the block begins, so that no change is missed between a first
        reading of the row and the subscription.
        """
        first_try = asyncio.Event()
        tasks = [
            asyncio.create_task(self._listen_for_ever(first_try), name=f"feed:{self._group}"),
            asyncio.create_task(self._show_codes(), name=f"codes:{self._group}"),
        ]
        try:
            with contextlib.suppress(TimeoutError):  # a layer that hangs must not hold the page up
                async with asyncio.timeout(FIRST_TRY):
                    await first_try.wait()
                    await code_hints.wait_until_listening()
            with code_hints.subscribed(self._note_code, self._session_id):
                yield self
        finally:
            await end(*tasks)

    def hint(self) -> None:
        """Wake `wait` now: this very connection changed something."""
        self._hinted.set()

    def _note_code(self, hint: str | None) -> None:
        if hint is None or self._codes.full():
            self._hinted.set()
        else:
            self._codes.put_nowait(hint)

    async def _show_codes(self) -> None:
        while True:
            code = await self._codes.get()
            try:
                shown = await self._show_code(code)
            except Exception as error:  # noqa: BLE001  the page reads its rows instead
                log.warning("code not shown by its hint", error=repr(error))
                shown = False
            if shown:
                self._told_at = time.monotonic()
            else:
                self._hinted.set()

    async def wait(self, most: float) -> None:
        """Return at the next hint, when it is time to poll, or after `most` seconds.

        What `show_code` takes says as much of the row as a reading: the time to poll begins anew, within
        limits.
        """
        near = isinstance(get_channel_layer(), InMemoryChannelLayer) or not self._subscribed
        interval = POLL_NEAR if near else POLL_FAR
        began = time.monotonic()
        end = began + max(0.0, min(most, POLL_MOST))
        while not self._hinted.is_set():
            left = min(end, max(began, self._told_at) + interval) - time.monotonic()
            if left <= 0:
                break
            await wait_at_most(self._hinted, left)
        self._hinted.clear()

    async def _listen_for_ever(self, tried: asyncio.Event) -> None:
        failures = 0
        while True:
            try:
                await self._listen(tried)
            except Exception as error:  # noqa: BLE001  (any layer, any fault: the polls go on meanwhile)
                log.warning("no hints, polling only", error=repr(error))
            self._subscribed = False
            tried.set()
            failures += 1
            await asyncio.sleep(backoff(failures, first=RETRY_FIRST, longest=RETRY_MOST))

    async def _listen(self, tried: asyncio.Event) -> None:
        layer: Any = get_channel_layer()
        channel = await layer.new_channel()
        try:
            await layer.group_add(self._group, channel)
            self._subscribed = True
            self._hinted.set()  # whatever changed while nobody listened
            tried.set()
            while True:
                await layer.receive(channel)
                self._hinted.set()
        finally:
            await layer.group_discard(self._group, channel)
