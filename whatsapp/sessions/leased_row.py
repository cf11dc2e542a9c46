"""A session's row as its pool sees it: read, and written under the lease."""

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import structlog
from django.db import InterfaceError, OperationalError
from django.db.models import Q

from config.shared.database import in_thread
from whatsapp import metrics
from whatsapp.models import Session
from whatsapp.sessions import leases
from whatsapp.sessions.leases import Lease, LeaseLost

log = structlog.get_logger("pool")
P = ParamSpec("P")
T = TypeVar("T")

DATABASE_RETRY = 0.5


class LeasedRow:
    """The row of one leased session. Whatever is written goes through the lease, and fails with it."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.session = str(lease.session_id)
        self.row: Session
        self.seen_version = 0
        self.done = False
        self.log = log.bind(session=self.session)

    async def database(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run database work; while the database is away, try again for as long as the lease lasts.

        Raises LeaseLost after that: what cannot be written down is not kept up.
        """
        while True:
            try:
                return await in_thread(function, *args, **kwargs)
            except (OperationalError, InterfaceError) as error:
                self.log.warning("database unavailable", error=str(error).partition("\n")[0])
                await asyncio.sleep(DATABASE_RETRY)
                if self.lease.is_over:
                    raise LeaseLost(self.session) from error

    async def load(self) -> None:
        """Read the row; raises LeaseLost when it is another's now."""
        self.row = await self.database(Session.objects.get, pk=self.lease.session_id)
        self.seen_version = self.row.version
        if self.row.lease_token != self.lease.token or self.row.lease_owner != self.lease.owner:
            raise LeaseLost(self.session)

    async def write(
        self, *, note: str = "", detail: str = "", only_if: Q | None = None, **changes: Any
    ) -> bool:
        """Change the row under the lease; see `leases.write`."""
        written = await self.database(
            leases.write, self.lease, note=note, detail=detail, only_if=only_if, **changes
        )
        if written:
            self.seen_version += 1  # a version beyond that is somebody else's
            for name, value in changes.items():
                setattr(self.row, name, value)
            if trouble := changes.get("trouble"):
                metrics.DISCONNECTS.labels(reason=str(trouble)).inc()
            if note:
                self.log.info(note, detail=detail)
        return written

    async def give_back(self) -> None:
        """Release the lease; the runner is done."""
        self.done = True
        await self.database(leases.release, self.lease)
