"""What the parts that work on one leased session share: its row, its lease, the engine and its events.

The pool's runner makes it and hands it to the sender, the link and the event handlers, which therefore need
not know each other's owner.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import structlog
from django.db import InterfaceError, OperationalError
from django.db.models import Q

from config.shared.database import in_thread
from whatsapp import metrics
from whatsapp.engine import Engine
from whatsapp.engine.events import SessionEvent
from whatsapp.models import Session
from whatsapp.sessions import code_writes, leases
from whatsapp.sessions.leases import Lease, LeaseLost

log = structlog.get_logger("pool")
P = ParamSpec("P")
T = TypeVar("T")

DATABASE_RETRY = 0.5  # seconds
# What WhatsApp says of messages does not come this way before it is written down, so what waits here is a
# few events for each change of the line.
INBOX_SIZE = 200


class SessionContext:
    """One leased session. Whatever is written goes through the lease, and fails with it."""

    def __init__(self, *, lease: Lease, engine: Engine) -> None:
        self.lease = lease
        self.engine = engine
        self.session = str(lease.session_id)
        self.row: Session
        self.row_changed = False  # by somebody else: to be read again
        self.seen_version = 0
        self.connected_since: float | None = None  # monotonic; None while the line is down
        self.inbox: asyncio.Queue[SessionEvent] = asyncio.Queue(maxsize=INBOX_SIZE)
        self.lost = False  # the lease
        self.done = False
        self.log = log.bind(session=self.session)

    @property
    def line_is_up(self) -> bool:
        """The session is connected, for the engine and in its row."""
        return self.connected_since is not None and self.row.status == Session.Status.CONNECTED

    @property
    def is_linked(self) -> bool:
        """The row, as far as it is known, has a linked device."""
        return hasattr(self, "row") and self.row.is_linked

    async def database(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run database work; while the database is away, try again for as long as the lease lasts.

        Raises LeaseLost after that: what cannot be written down is not kept up.
        """
        return await self.retried(lambda: in_thread(function, *args, **kwargs))

    async def retried(self, call: Callable[[], Awaitable[T]]) -> T:
        """As `database`, for a call that does its database work elsewhere."""
        while True:
            try:
                return await call()
            except (OperationalError, InterfaceError) as error:
                self.log.warning("database unavailable", error=str(error).partition("\n")[0])
                await asyncio.sleep(DATABASE_RETRY)
                if self.lease.is_over:
                    raise LeaseLost(self.session) from error

    async def load(self) -> None:
        """Read the row; raises LeaseLost when it is another's now."""
        self.row_changed = False
        self.row = await self.database(Session.objects.get, pk=self.lease.session_id)
        self.seen_version = self.row.version
        if not self.lease.holds(self.row):
            raise LeaseLost(self.session)

    async def write(
        self, *, note: str = "", detail: str = "", only_if: Q | None = None, **changes: Any
    ) -> bool:
        """Change the row under the lease; see `leases.write`."""
        written = await self.database(
            leases.write, self.lease, note=note, detail=detail, only_if=only_if, **changes
        )
        if written:
            self._written(changes)
            if trouble := changes.get("trouble"):
                metrics.DISCONNECTS.labels(reason=str(trouble)).inc()
            if note:
                self.log.info(note, detail=detail)
        return written

    async def write_qr(self, *, status: str, qr: str, qr_expires_at: datetime) -> None:
        """Write a QR code under the lease and push it to the pages."""
        await self.retried(
            lambda: code_writes.write_qr(self.lease, status=status, qr=qr, qr_expires_at=qr_expires_at)
        )
        self._written({"status": status, "qr": qr, "qr_expires_at": qr_expires_at})

    def _written(self, changes: dict[str, Any]) -> None:
        self.seen_version += 1  # a version beyond that is somebody else's
        for name, value in changes.items():
            setattr(self.row, name, value)

    async def release(self) -> None:
        """Release the lease; the work on the session is done."""
        self.done = True
        await self.database(leases.release, self.lease)
