"""One session under the care of this pool: makes what is wanted so, and writes down what is so.

A runner is a task with an inbox. Three things move it: events of the engine (what they lead to is in
`reactions`), changes of its row, and its own next attempt. Everything it writes goes through its lease;
when the lease is gone it stops the engine's session before anything else and writes nothing more.
"""

import asyncio
import time
from datetime import timedelta

from django.utils import timezone

from whatsapp import metrics
from whatsapp.engine import Engine
from whatsapp.engine.events import ConnectFailed, SessionEvent
from whatsapp.messages.durable_writer import DurableWriter
from whatsapp.messages.pacing import Pacer
from whatsapp.messages.sender import Sender
from whatsapp.models import Session, Trouble
from whatsapp.pool import event_handlers
from whatsapp.pool.link import Link
from whatsapp.pool.unlinking import remove_device
from whatsapp.sessions import policy
from whatsapp.sessions.leases import Lease, LeaseLost
from whatsapp.sessions.policy import NO_CODES, UNLINK_ATTEMPTS_MOST

Status, Wanted = Session.Status, Session.Wanted

COPY_INTERVAL = 120.0
ANSWER_AT_STOP = 2.5  # seconds that WhatsApp has for what is in flight when the line is closed on purpose


class SessionRunner(Link):
    """Cares for one leased session until it is lost, given back, or at rest."""

    def __init__(self, *, lease: Lease, engine: Engine, pacer: Pacer, facts: DurableWriter) -> None:
        super().__init__(lease=lease, engine=engine, pacer=pacer)
        self.facts = facts
        self.lost = False
        self.inbox: asyncio.Queue[SessionEvent] = asyncio.Queue()
        self.sender = Sender(self)
        self._task: asyncio.Task[None] | None = None
        self._row_changed = False
        self._stopping = False
        self._woken = asyncio.Event()

    # --- what others tell it -------------------------------------------------------------------

    def hear(self, event: SessionEvent) -> None:
        """Take an event of the engine into the inbox."""
        self.inbox.put_nowait(event)
        self._woken.set()

    def row_changed(self) -> None:
        """Somebody changed the row: read it again."""
        self._row_changed = True
        self._woken.set()

    def messages_due(self, *, service: bool) -> None:
        """Messages of this session are due, `service` ones among them or only advertising."""
        if self.sender.tell(service=service):
            self._woken.set()

    def host_exited(self, reason: str) -> None:
        """The engine's process that held the session is gone."""
        self.hear(ConnectFailed(session=self.session, reason=f"engine host: {reason}", permanent=False))

    def abandon(self) -> None:
        """The lease is lost: stop the engine's session before anything else."""
        self.lost = True
        if self._task:
            self._task.cancel()

    def stop(self) -> None:
        """Stop politely: off line, copy taken, lease given back."""
        self._stopping = True
        self._woken.set()

    # --- the task ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until done. An unforeseen fault is logged, and the session given back for later."""
        self._task = asyncio.current_task()
        try:
            if self.lost:  # while it waited for its turn
                raise LeaseLost(self.session)
            await self._work()
        except asyncio.CancelledError:
            if not self.lost:
                raise
            await self.off_line()
        except LeaseLost:
            metrics.LEASE_LOSSES.inc()
            self.log.warning("lease lost", pool=self.lease.owner)
            await self.off_line()
        except Exception as error:
            self.log.exception("session failed", error=repr(error))
            await self.off_line()
            await self.rest_after_fault(error)
        finally:
            self.done = True

    async def _work(self) -> None:
        await self.load()
        await self.sender.take_over()
        await self._follow_row(first=True)
        while not self.done:
            await self._wait()
            if self._stopping:
                await self._stop_politely()
                return
            while not self.done and not self.inbox.empty():
                await event_handlers.react(self, self.inbox.get_nowait())
            if not self.done and self._row_changed:
                self._row_changed = False
                await self.load()
                await self._follow_row()
            if not self.done:
                await self._do_what_is_due()

    async def _wait(self) -> None:
        times = (self.retry_at, self._stable_at(), self._copy_at(), self.sender.due_at())
        due = [at for at in times if at is not None]
        timeout = max(0.0, min(due) - time.monotonic()) if due else 60.0
        try:
            # Not wait_for: before Python 3.12 it may swallow a cancellation, and with it a lost lease.
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._woken.clear()

    def _stable_at(self) -> float | None:
        unproven = self.row.attempts or self.row.stable_at is None
        return self.connected_since + policy.STABLE_AFTER if self.connected_since and unproven else None

    def _copy_at(self) -> float | None:
        return self.copied_at + COPY_INTERVAL if self.connected_since else None

    async def _do_what_is_due(self) -> None:
        now = time.monotonic()
        if self.retry_at is not None and now >= self.retry_at:
            await self.connect()
        if (at := self._stable_at()) is not None and now >= at:
            await self._note_stable()
        if (at := self._copy_at()) is not None and now >= at:
            await self.copy()
        if not self.done:
            await self.sender.act()

    async def _note_stable(self) -> None:
        """The line has stood for a minute: earlier failures are forgotten."""
        if self.row.stable_at is None:
            await self.write(attempts=0, next_attempt_at=None, stable_at=timezone.now(), note="stable")
        else:
            await self.write(attempts=0, next_attempt_at=None)

    # --- what is wanted ------------------------------------------------------------------------

    async def _follow_row(self, *, first: bool = False) -> None:
        row = self.row
        if row.wanted == Wanted.UNLINKED:
            await self._unlink()
        elif row.wanted == Wanted.STOPPED:
            await self._take_off_line()
        elif row.restart_requested_at and (
            not row.restart_done_at or row.restart_done_at < row.restart_requested_at
        ):
            await self.sender.finish(ANSWER_AT_STOP)
            await self.off_line()
            await self.write(restart_done_at=row.restart_requested_at)
            await self.connect()
        elif first:
            await self.connect()
        elif not row.is_linked and row.pairing_requested_at != row.pairing_done_at:
            await self.renew_pairing()

    async def _unlink(self) -> None:
        await self.sender.finish(ANSWER_AT_STOP)
        removed = await remove_device(self) if self.row.is_linked else True
        attempts = self.row.attempts + 1
        if removed or attempts >= UNLINK_ATTEMPTS_MOST:
            detail = "" if removed else "WhatsApp was not told; the device may still be listed on the phone"
            await self.lose_device(note="unlinked", detail=detail, trouble=Trouble.UNLINKED)
            return
        await self.off_line()
        await self.write(
            attempts=attempts,
            next_attempt_at=timezone.now() + timedelta(seconds=policy.backoff(attempts)),
            note="unlink_failed",
            detail="WhatsApp could not be told, trying again",
        )
        await self.give_back()

    async def _take_off_line(self) -> None:
        await self.sender.finish(ANSWER_AT_STOP)
        await self.off_line()
        await self.copy()
        await self.write(status=Status.IDLE, next_attempt_at=None, note="stopped", **NO_CODES)
        await self.give_back()

    async def _stop_politely(self) -> None:
        await self.sender.finish(ANSWER_AT_STOP)
        await self.off_line()
        if self.row.is_linked:
            await self.copy()
            await self.write(status=Status.RECONNECTING, note="pool_stopped")
        else:
            await self.write(status=Status.STARTING, **NO_CODES)
        await self.give_back()
