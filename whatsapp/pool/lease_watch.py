"""Renews a pool's leases, and stops what has none.

Renewals have a thread and a database connection of their own: nothing else that this process does, or waits
for, can make them late.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping

import structlog
from django.db import Error

from config.shared.database import DedicatedThread
from whatsapp import metrics
from whatsapp.engine import Engine
from whatsapp.pool.runner import SessionRunner
from whatsapp.sessions import leases

log = structlog.get_logger("pool")
# Of a lease: after this long without a renewal a session is stopped. The rest is for the stopping, since
# nobody may start a session while it still runs here.
STOPPED_AFTER = 2 / 3
# Of a lease: then the engine's processes end by themselves, in whatever state this one is.
PERMITTED = 0.9


class LeaseWatch:
    """The leases of one pool's runners; `seconds` is a lease's length."""

    def __init__(
        self, *, owner: str, seconds: float, engine: Engine, runners: Mapping[uuid.UUID, SessionRunner]
    ) -> None:
        self._owner = owner
        self._seconds = seconds
        self._engine = engine
        self._runners = runners
        self._thread = DedicatedThread("leases")
        engine.permit(time.monotonic() + seconds * PERMITTED)

    async def renew_leases(self) -> None:
        """Renew every third of a lease."""
        seconds = self._seconds
        while True:
            started = time.monotonic()
            alive = [session_id for session_id, runner in self._runners.items() if not runner.context.lost]
            try:
                async with asyncio.timeout(seconds / 3):
                    held = await self._thread.run(
                        leases.renew, owner=self._owner, seconds=seconds, sessions=alive
                    )
            except (Error, TimeoutError) as error:
                log.warning("leases not renewed", error=repr(error).partition("\n")[0][:200])
                await asyncio.sleep(min(1.0, seconds / 10))
                continue
            for session_id in alive:
                if runner := self._runners.get(session_id):
                    self._renewed(runner, held.get(session_id), started + seconds)
            self._engine.permit(started + seconds * PERMITTED)
            await asyncio.sleep(seconds / 3)

    async def stop_overdue(self) -> None:
        """Stop what could not be renewed, before anything else."""
        left = self._seconds * (1 - STOPPED_AFTER)
        while True:
            for runner in list(self._runners.values()):
                if time.monotonic() >= runner.context.lease.deadline - left:
                    self._abandon(runner, "not renewed in time")
            await asyncio.sleep(self._seconds / 30)

    def close(self) -> None:
        """Give the renewals' connection back."""
        self._thread.close()

    def _renewed(self, runner: SessionRunner, token: int | None, deadline: float) -> None:
        if token == runner.context.lease.token:
            runner.context.lease.deadline = deadline
        elif runner.context.lease.deadline < deadline:  # else it was claimed anew meanwhile
            self._abandon(runner, "taken by another pool")

    def _abandon(self, runner: SessionRunner, reason: str) -> None:
        if not runner.context.done and not runner.context.lost:
            metrics.LEASE_LOSSES.inc()
            log.error("lease lost", session=runner.context.session, pool=self._owner, reason=reason)
            runner.abandon()
