"""One session under the care of this pool: makes what is wanted so, and writes down what is so.

A runner is a task with an inbox. Three things move it: events of the engine (`event_handlers`), changes of
its row, and its own next attempt. Everything it writes goes through its lease; when the lease is gone it
stops the engine's session before anything else and writes nothing more.
"""

import asyncio
import time
from datetime import timedelta

from django.utils import timezone

from config.shared.waiting import wait_at_most
from whatsapp import metrics
from whatsapp.engine import Engine
from whatsapp.engine.events import ConnectFailed, SessionEvent
from whatsapp.messages.claims import ClaimBatches
from whatsapp.messages.durable_writer import DurableWriter
from whatsapp.messages.pacing import Pacer
from whatsapp.messages.sender import Sender
from whatsapp.models import Session, Trouble
from whatsapp.pool import event_handlers
from whatsapp.pool.link import Link
from whatsapp.pool.unlinking import remove_device
from whatsapp.sessions import policy
from whatsapp.sessions.context import SessionContext
from whatsapp.sessions.leases import Lease, LeaseLost
from whatsapp.sessions.policy import NO_CODES, UNLINK_ATTEMPTS_MOST

Status, Wanted = Session.Status, Session.Wanted

COPY_INTERVAL = 120.0
ANSWER_AT_STOP = 2.5  # seconds that WhatsApp has for what is in flight when the line is closed on purpose


class InboxFull(Exception):
    """The session's events come faster than they are handled."""


class SessionRunner:
    """Cares for one leased session until it is lost, released, or at rest."""

    def __init__(
        self, *, lease: Lease, engine: Engine, pacer: Pacer, writer: DurableWriter, claims: ClaimBatches
    ) -> None:
        self.context = SessionContext(lease=lease, engine=engine)
        self.sender = Sender(self.context, writer, claims)
        self.link = Link(self.context, self.sender, pacer)
        self._task: asyncio.Task[None] | None = None
        self._overrun = False
        self._stopping = False
        self._woken = asyncio.Event()

    # --- called by the pool --------------------------------------------------------------------

    def handle_event(self, event: SessionEvent) -> None:
        """Take an event of the engine into the inbox.

        A session whose inbox is full is far behind what is so: it is stopped, and released for a new start.
        """
        try:
            self.context.inbox.put_nowait(event)
        except asyncio.QueueFull:
            if self._task and not self._overrun:
                self._task.cancel()
            self._overrun = True
        self._woken.set()

    def row_changed(self) -> None:
        """Somebody changed the row: read it again."""
        self.context.row_changed = True
        self._woken.set()

    def messages_due(self, *, service: bool) -> None:
        """Messages of this session are due, `service` ones among them or only advertising."""
        if self.sender.notify(service=service):
            self._woken.set()

    def host_exited(self, reason: str) -> None:
        """The engine's process that held the session is gone."""
        failed = ConnectFailed(session=self.context.session, reason=f"engine host: {reason}", permanent=False)
        self.handle_event(failed)

    def abandon(self) -> None:
        """The lease is lost: stop the engine's session before anything else."""
        self.context.lost = True
        if self._task:
            self._task.cancel()

    def stop(self) -> None:
        """Stop politely: off line, copy taken, lease released."""
        self._stopping = True
        self._woken.set()

    # --- the task ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until done. An unforeseen fault is logged, and the session released for later."""
        context, link = self.context, self.link
        self._task = asyncio.current_task()
        try:
            if context.lost:  # while it waited for its turn
                raise LeaseLost(context.session)
            await self._work()
        except asyncio.CancelledError:
            if not context.lost and not self._overrun:
                raise
            await link.off_line()
            if not context.lost:
                context.log.error("too many events wait", events=context.inbox.maxsize)
                await link.rest_after_fault(InboxFull("its events could not be handled in time"))
        except LeaseLost:
            metrics.LEASE_LOSSES.inc()
            context.log.warning("lease lost", pool=context.lease.owner)
            await link.off_line()
        except Exception as error:
            context.log.exception("session failed", error=repr(error))
            await link.off_line()
            await link.rest_after_fault(error)
        finally:
            context.done = True

    async def _work(self) -> None:
        context = self.context
        await context.load()
        await self.sender.settle_previous()
        await self._follow_row(first=True)
        while not context.done:
            await self._wait()
            if self._stopping:
                await self._stop_politely()
                return
            while not context.done and not context.inbox.empty():
                await event_handlers.handle(context, self.link, context.inbox.get_nowait())
            if not context.done and context.row_changed:
                await context.load()
                await self._follow_row()
            if not context.done:
                await self._do_what_is_due()

    async def _wait(self) -> None:
        times = (self.link.retry_at, self._stable_at(), self._copy_at(), self.sender.due_at())
        due = [at for at in times if at is not None]
        timeout = max(0.0, min(due) - time.monotonic()) if due else 60.0
        try:
            await wait_at_most(self._woken, timeout)
        finally:
            self._woken.clear()

    def _stable_at(self) -> float | None:
        context = self.context
        unproven = context.row.attempts or context.row.stable_at is None
        return context.connected_since + policy.STABLE_AFTER if context.connected_since and unproven else None

    def _copy_at(self) -> float | None:
        return self.link.copied_at + COPY_INTERVAL if self.context.connected_since else None

    async def _do_what_is_due(self) -> None:
        now = time.monotonic()
        if self.link.retry_at is not None and now >= self.link.retry_at:
            await self.link.connect()
        if (at := self._stable_at()) is not None and now >= at:
            await self._note_stable()
        if (at := self._copy_at()) is not None and now >= at:
            await self.link.copy()
        if self.context.done:
            return
        if self.sender.answer_is_overdue():
            await self.link.off_line()
            await self.link.try_later("the engine did not answer")
        else:
            await self.sender.send_next()

    async def _note_stable(self) -> None:
        """The line has stood for a minute: earlier failures are forgotten."""
        if self.context.row.stable_at is None:
            await self.context.write(
                attempts=0, next_attempt_at=None, stable_at=timezone.now(), note="stable"
            )
        else:
            await self.context.write(attempts=0, next_attempt_at=None)

    # --- what is wanted ------------------------------------------------------------------------

    async def _follow_row(self, *, first: bool = False) -> None:
        row = self.context.row
        if row.wanted == Wanted.UNLINKED:
            await self._unlink()
        elif row.wanted == Wanted.STOPPED:
            await self._take_off_line()
        elif row.restart_requested_at and (
            not row.restart_done_at or row.restart_done_at < row.restart_requested_at
        ):
            await self.sender.finish(ANSWER_AT_STOP)
            await self.link.off_line()
            await self.context.write(restart_done_at=row.restart_requested_at)
            await self.link.connect()
        elif first:
            await self.link.connect()
        elif not row.is_linked and row.pairing_requested_at != row.pairing_done_at:
            await self.link.renew_pairing()

    async def _unlink(self) -> None:
        context = self.context
        await self.sender.finish(ANSWER_AT_STOP)
        removed = await remove_device(context, self.link) if context.row.is_linked else True
        attempts = context.row.attempts + 1
        if removed or attempts >= UNLINK_ATTEMPTS_MOST:
            detail = (
                "" if removed else "WhatsApp was not reached; the device may still be listed on the phone"
            )
            await self.link.lose_device(note="unlinked", detail=detail, trouble=Trouble.UNLINKED)
            return
        await self.link.off_line()
        await context.write(
            attempts=attempts,
            next_attempt_at=timezone.now() + timedelta(seconds=policy.backoff(attempts)),
            note="unlink_failed",
            detail="WhatsApp was not reached, trying again",
        )
        await context.release()

    async def _take_off_line(self) -> None:
        await self.sender.finish(ANSWER_AT_STOP)
        await self.link.off_line()
        await self.link.copy()
        await self.link.seal()
        await self.context.write(status=Status.IDLE, next_attempt_at=None, note="stopped", **NO_CODES)
        await self.context.release()

    async def _stop_politely(self) -> None:
        context = self.context
        await self.sender.finish(ANSWER_AT_STOP)
        await self.link.off_line()
        if context.row.is_linked:
            await self.link.copy()
            await self.link.seal()
            await context.write(status=Status.RECONNECTING, note="pool_stopped")
        else:
            await context.write(status=Status.STARTING, **NO_CODES)
        await context.release()
