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
    """The leases of one pool's runners; `seconds` is a lease's length, `pairing_seconds` that of a session
    without a linked device."""

    def __init__(
        self,
        *,
        owner: str,
        seconds: float,
        pairing_seconds: float,
        engine: Engine,
        runners: Mapping[uuid.UUID, SessionRunner],
    ) -> None:
        self._owner = owner
        self._seconds = seconds
        self._pairing_seconds = min(seconds, pairing_seconds)
        self._engine = engine
        self._runners = runners
        self._thread = DedicatedThread("leases")
        engine.permit(time.monotonic() + seconds * PERMITTED)

    async def renew_linked(self) -> None:
        """Renew the full leases, every third of one."""
        while True:
            full = [key for key, runner in self._held() if runner.context.lease.seconds >= self._seconds]
            started = await self._renew(full, self._seconds, patience=self._seconds / 3)
            if started is None:
                await asyncio.sleep(min(1.0, self._seconds / 10))
                continue
            self._engine.permit(started + self._seconds * PERMITTED)
            await asyncio.sleep(self._seconds / 3)

    async def renew_pairing(self) -> None:
        """Renew the short leases, every third of one; a session that was linked meanwhile gets a full one."""
        interval = self._pairing_seconds / 3
        while True:
            short = [one for one in self._held() if one[1].context.lease.seconds < self._seconds]
            linked = [key for key, runner in short if runner.context.is_linked]
            pairing = [key for key, runner in short if not runner.context.is_linked]
            for sessions, seconds in ((linked, self._seconds), (pairing, self._pairing_seconds)):
                if sessions:
                    await self._renew(sessions, seconds, patience=interval)
            await asyncio.sleep(interval)

    def _held(self) -> list[tuple[uuid.UUID, SessionRunner]]:
        return [(key, runner) for key, runner in self._runners.items() if not runner.context.lost]

    async def _renew(self, sessions: list[uuid.UUID], seconds: float, *, patience: float) -> float | None:
        """Renew leases; the moment at which that began, or None when the database did not answer in time."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                held = await self._thread.run(
                    leases.renew, owner=self._owner, seconds=seconds, sessions=sessions
                )
        except (Error, TimeoutError) as error:
            log.warning("leases not renewed", error=repr(error).partition("\n")[0][:200])
            return None
        for session_id in sessions:
            if runner := self._runners.get(session_id):
                self._renewed(runner, held.get(session_id), started, seconds)
        return started

    async def stop_overdue(self) -> None:
        """Stop what could not be renewed, before anything else."""
        while True:
            for runner in list(self._runners.values()):
                lease = runner.context.lease
                if time.monotonic() >= lease.deadline - lease.seconds * (1 - STOPPED_AFTER):
                    self._abandon(runner, "not renewed in time")
            await asyncio.sleep(self._pairing_seconds / 15)

    def close(self) -> None:
        """Give the renewals' connection back."""
        self._thread.close()

    def _renewed(self, runner: SessionRunner, token: int | None, started: float, seconds: float) -> None:
        lease = runner.context.lease
        if token == lease.token:
            lease.deadline, lease.seconds = started + seconds, seconds
        elif lease.deadline < started + seconds:  # else it was claimed anew meanwhile
            self._abandon(runner, "taken by another pool")

    def _abandon(self, runner: SessionRunner, reason: str) -> None:
        if not runner.context.done and not runner.context.lost:
            metrics.LEASE_LOSSES.inc()
            log.error("lease lost", session=runner.context.session, pool=self._owner, reason=reason)
            runner.abandon()
