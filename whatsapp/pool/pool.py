"""The session pool: claims leases, and runs a runner for each session for as long as its lease lasts.

Side tasks are named and watched: when one dies, the pool stops loudly.
"""

import asyncio
import os
import secrets
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from django.db import DatabaseError

from config.shared import hints
from config.shared.database import in_thread
from whatsapp.engine import Engine
from whatsapp.messages import message_queue, outbox
from whatsapp.messages.claims import ClaimBatches
from whatsapp.messages.outbox import HeldSession
from whatsapp.messages.pacing import Pacer
from whatsapp.models import Pool
from whatsapp.pool import abandoned_spools
from whatsapp.pool.dead_pools import locks_folder, release_dead_pools
from whatsapp.pool.event_dispatch import EventDispatch
from whatsapp.pool.heartbeat import Heartbeat
from whatsapp.pool.lease_watch import LeaseWatch
from whatsapp.pool.media_fetching import MediaFetcher
from whatsapp.pool.process_lock import ProcessLock
from whatsapp.pool.runner import SessionRunner
from whatsapp.sessions import code_writes, leases
from whatsapp.sessions.leases import Lease

log = structlog.get_logger("pool")
SWEEP_INTERVAL = 30.0  # seconds
MIN_BETWEEN_LOOKS = 0.02  # seconds
BETWEEN_CLAIMS = 0.5  # seconds, while there is more to claim
# Linked sessions, fewer than are started until the next claim: when many are free, every pool gets its share.
CLAIMED_AT_ONCE = 20
FLUSH_TIMEOUT = 1.0  # seconds; a graceful stop has ten in all


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How a pool works; times are seconds."""

    capacity: int = 500
    lease: float = 30.0
    # Of a session without a linked device, whose owner waits at the page for the next code.
    pairing_lease: float = 4.0
    poll: float = 1.0
    heartbeat: float = 5.0
    start_interval: float = 0.03
    stop_timeout: float = 9.0


class SessionPool:
    """Shares the sessions with any number of other pools through leases in the database.

    `engine` makes the engine; it gets the descriptor that every process of the engine must hold open.
    """

    def __init__(self, *, engine: Callable[[int], Engine], settings: PoolSettings) -> None:
        self.lock = ProcessLock(locks_folder(), new_name())
        self.name = self.lock.owner
        self.settings = settings
        self.engine = engine(self.lock.descriptor)
        self.runners: dict[uuid.UUID, SessionRunner] = {}
        self._tasks: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._pacer = Pacer(settings.start_interval)
        self._media = MediaFetcher(self.engine)
        self._dispatch = EventDispatch(engine=self.engine, runners=self.runners, on_file=self._media.notify)
        self.writer = self._dispatch.writer
        self.claims = ClaimBatches()
        self._ended_late_at = self._swept_at = 0.0  # monotonic
        self._neighbours: tuple[str, ...] = ()  # living pools of this machine
        self._claiming: asyncio.Future[list[Lease]] | None = None
        self._listener = hints.Listener(hints.POOLS)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then release everything. Raises what a side task died of."""
        log.info("pool started", pool=self.name, capacity=self.settings.capacity)
        heartbeat = Heartbeat(
            name=self.name,
            capacity=self.settings.capacity,
            interval=self.settings.heartbeat,
            engine=self.engine,
            sessions=self.runners,
        )
        await heartbeat.wait_for_database(stop)
        watch = LeaseWatch(
            owner=self.name,
            seconds=self.settings.lease,
            pairing_seconds=self.settings.pairing_lease,
            engine=self.engine,
            runners=self.runners,
        )
        polite = False
        try:
            async with self._listener, asyncio.TaskGroup() as group:
                # Tasks that take on new work end first; the others serve what is still to be done.
                taking = [
                    group.create_task(self._claim_and_watch(), name="claims"),
                    group.create_task(heartbeat.run(), name="heartbeat"),
                    group.create_task(self._media.run(), name="media"),
                ]
                serving = [
                    group.create_task(watch.renew_linked(), name="leases"),
                    group.create_task(watch.renew_pairing(), name="pairing leases"),
                    group.create_task(watch.stop_overdue(), name="lease ends"),
                    dispatching := group.create_task(self._dispatch.run(), name="events"),
                    group.create_task(self.writer.run(), name="durable writer"),
                    group.create_task(self.claims.run(), name="message claims"),
                ]
                await stop.wait()
                for task in taking:
                    task.cancel()
                await self._stop_runners()
                await self._end_hosts(dispatching)
                for task in serving:
                    task.cancel()
            polite = True
        finally:
            await self.engine.close()
            for kept in (watch, self.writer, self.claims):
                kept.close()
            await self._sign_off(release=polite)
            self.lock.close()
            log.info("pool stopped", pool=self.name)

    # --- side tasks ----------------------------------------------------------------------------

    async def _claim_and_watch(self) -> None:
        """Notify runners of due messages and of rows that others changed, and claim due sessions."""
        code_writes.connect()
        while True:
            started, claimed = time.monotonic(), 0
            try:
                for held in await in_thread(outbox.read_held, owner=self.name):
                    if runner := self.runners.get(held.session_id):
                        _notify(runner, held)
                if started - self._ended_late_at >= self.settings.poll:
                    self._ended_late_at = started
                    self._neighbours = await in_thread(release_dead_pools)
                    await self._sweep()
                claimed = await self._claim()
            except DatabaseError as error:
                log.warning("database unavailable", task="claims", error=str(error).partition("\n")[0])
            more = claimed >= CLAIMED_AT_ONCE
            await self._listener.wait(min(BETWEEN_CLAIMS, self.settings.poll) if more else self.settings.poll)
            # Hints of single messages that come in a row are answered together.
            await asyncio.sleep(max(0.0, started + MIN_BETWEEN_LOOKS - time.monotonic()))

    async def _sweep(self) -> None:
        """End what waits in vain, of any session, and write down what killed pools have left."""
        await in_thread(message_queue.expire_due)
        if time.monotonic() - self._swept_at > SWEEP_INTERVAL:
            self._swept_at = time.monotonic()
            await in_thread(message_queue.fail_unlinked)
            await abandoned_spools.recover(self.writer, (self.name, *self._neighbours))

    async def _claim(self) -> int:
        """Claim sessions and start their runners; returns how many."""
        if self.writer.is_behind:
            return 0  # acknowledgements must be written before their messages could be taken for unsent
        work = in_thread(
            leases.claim,
            owner=self.name,
            limit=self.settings.capacity - len(self.runners),
            linked_limit=CLAIMED_AT_ONCE,
            seconds=self.settings.lease,
            pairing_seconds=self.settings.pairing_lease,
            neighbours=[name for name in self._neighbours if name != self.name],
        )
        # A claim goes on in its thread when this task is cancelled: the end waits for it, and releases it.
        self._claiming = asyncio.ensure_future(work)
        claimed = await asyncio.shield(self._claiming)
        for lease in claimed:
            self._start_runner(lease)
        return len(claimed)

    def _start_runner(self, lease: Lease) -> None:
        runner = SessionRunner(
            lease=lease,
            engine=self.engine,
            pacer=self._pacer,
            writer=self.writer,
            claims=self.claims,
        )
        self.runners[lease.session_id] = runner
        former = self._tasks.get(lease.session_id)
        task = asyncio.create_task(self._run(runner, former), name=f"session:{lease.session_id}")
        self._tasks[lease.session_id] = task
        task.add_done_callback(lambda _task: self._forget(lease.session_id, runner))

    async def _run(self, runner: SessionRunner, former: asyncio.Task[None] | None) -> None:
        if former:
            await asyncio.wait({former})  # the session's former run must have ended
        await runner.run()

    def _forget(self, session_id: uuid.UUID, runner: SessionRunner) -> None:
        if self.runners.get(session_id) is runner:
            del self.runners[session_id]
            del self._tasks[session_id]

    # --- the end -------------------------------------------------------------------------------

    async def _stop_runners(self) -> None:
        log.info("pool stopping", pool=self.name, sessions=len(self.runners))
        tasks = list(self._tasks.values())
        for runner in list(self.runners.values()):
            runner.stop()
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=self.settings.stop_timeout)
            if late:
                log.error("sessions did not stop in time", sessions=len(late))

    async def _end_hosts(self, dispatching: "asyncio.Task[None]") -> None:
        """What clients write is heard until the hosts have ended, and written down."""
        await self.engine.close()
        await asyncio.wait({dispatching}, timeout=FLUSH_TIMEOUT)
        await self.writer.flush(FLUSH_TIMEOUT)

    async def _sign_off(self, *, release: bool) -> None:
        if release and self._claiming:
            await asyncio.wait({self._claiming})
        try:
            if release:
                await in_thread(leases.release_all, owner=self.name)
                self.lock.remove()
            await in_thread(Pool.objects.filter(name=self.name).delete)
        except DatabaseError as error:
            log.warning("database unavailable", task="sign off", error=str(error).partition("\n")[0])


def _notify(runner: SessionRunner, held: HeldSession) -> None:
    # A runner's own writes come back here too, once.
    if held.version > runner.context.seen_version:
        runner.row_changed()
    if held.service_due or held.adds_due:
        runner.messages_due(service=held.service_due)


def new_name() -> str:
    """A pool's name, the owner of its leases."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(3)}"
