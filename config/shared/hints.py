"""Hints that a row changed. They may be lost: whoever waits for one also polls.

To pages: a channel layer message to the session's group; of a new code they hear by `sessions.code_hints`. To
pools and workers: PostgreSQL's NOTIFY between processes, a plain callback within one process (the default).
"""

import asyncio
import uuid
from collections.abc import Callable
from weakref import WeakKeyDictionary

import structlog
from asgiref.sync import SyncToAsync, async_to_sync
from channels.layers import get_channel_layer
from django.db import connection, transaction
from prometheus_client import Counter

from config.shared.listening import listen_for_ever
from config.shared.waiting import wait_at_most

log = structlog.get_logger("hints")

POOLS = "whatsapp_pools"
WORKERS = "marketplace_workers"
PUSH_TIMEOUT = 2.0  # seconds that a channel layer may take for one push
PUSHES_MOST = 200  # under way at once in one event loop; what comes on top of a layer that hangs is dropped
PUSHES_LOST = Counter("pushes_lost_total", "Pushes to pages that were not sent, by reason.", ["reason"])

_pushes: "WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Task[None]]]" = WeakKeyDictionary()
_listeners: dict[str, set[Callable[[], None]]] = {POOLS: set(), WORKERS: set()}


def group_of(session_id: uuid.UUID | str) -> str:
    """Name of the channel layer group of one session's pages."""
    return f"session.{session_id}"


def session_changed(session_id: uuid.UUID | str) -> None:
    """After the commit: push to the pages of this session, which read it again, and wake the workers."""
    pages_changed(session_id)
    wake(WORKERS)


def pages_changed(session_id: uuid.UUID | str) -> None:
    """After the commit: push to the pages of this session; what changed is nothing to the workers."""
    transaction.on_commit(lambda: _push(session_id), robust=True)


def push(session_id: uuid.UUID | str) -> None:
    """Push to the pages of this session now, from code of an event loop; nobody waits for it."""
    loop = asyncio.get_running_loop()
    under_way = _pushes.setdefault(loop, set())
    if len(under_way) >= PUSHES_MOST:
        PUSHES_LOST.labels(reason="too many").inc()
        return
    task = loop.create_task(_send(session_id), name="push")
    under_way.add(task)
    task.add_done_callback(under_way.discard)


def wake_pools() -> None:
    """After the commit: wake the pools, which look at the rows now."""
    wake(POOLS)


def wake_workers() -> None:
    """After the commit: wake the workers, which look at the rows now."""
    wake(WORKERS)


def _push(session_id: uuid.UUID | str) -> None:
    """Start a push in the event loop that waits for this thread; nobody waits for the push.

    A command has no such loop: it sends at once, and waits for it at most PUSH_TIMEOUT.
    """
    loop: asyncio.AbstractEventLoop | None = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    if loop is None or not loop.is_running():
        async_to_sync(_send)(session_id)
        return
    try:
        loop.call_soon_threadsafe(push, session_id)
    except RuntimeError:  # closed at this very moment
        PUSHES_LOST.labels(reason="stopped").inc()


async def _send(session_id: uuid.UUID | str) -> None:
    message = {"type": "session.changed", "session_id": str(session_id)}
    try:
        async with asyncio.timeout(PUSH_TIMEOUT):
            await get_channel_layer().group_send(group_of(session_id), message)
    except Exception as error:  # noqa: BLE001  any layer, any fault: the page's own poll makes up for it
        PUSHES_LOST.labels(reason="timeout" if isinstance(error, TimeoutError) else "error").inc()
        log.warning("push lost", session=str(session_id), error=repr(error))


def wake(channel: str) -> None:
    """After the commit: wake those who listen to POOLS or WORKERS."""

    def local() -> None:
        for listener in list(_listeners[channel]):
            listener()

    transaction.on_commit(local, robust=True)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # NOTIFY is delivered at commit, and only then
            cursor.execute("SELECT pg_notify(%s, '')", [channel])


class Listener:
    """Sets an asyncio event when `channel` is hinted at; use as an async context manager.

    Across processes it needs PostgreSQL and holds one connection of its own, opened again when lost.
    """

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.event = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Listener":
        self._loop = asyncio.get_running_loop()
        _listeners[self.channel].add(self._set_event)
        if connection.vendor == "postgresql":
            self._task = asyncio.create_task(
                listen_for_ever(self.channel, lambda _payload: self.event.set(), self.event.set),
                name=f"listen:{self.channel}",
            )
        return self

    async def __aexit__(self, *_error: object) -> None:
        _listeners[self.channel].discard(self._set_event)
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _set_event(self) -> None:
        self._loop.call_soon_threadsafe(self.event.set)

    async def wait(self, seconds: float) -> None:
        """Return at the next hint, or after `seconds`."""
        try:
            await wait_at_most(self.event, seconds)
        finally:
            self.event.clear()
