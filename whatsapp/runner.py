"""One session under the care of this pool: makes what is wanted so, and writes down what is so.

A runner is a task with an inbox. Three things move it: events of the engine (what they lead to is in
`reactions`), changes of its row, and its own next attempt. Everything it writes goes through its lease;
when the lease is gone it stops the engine's session before anything else and writes nothing more.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.models import Q
from django.utils import timezone

from whatsapp import leases, messages, metrics, policy, reactions, vault
from whatsapp.database import in_thread
from whatsapp.engine import Engine, EngineError
from whatsapp.engine.protocol import ConnectFailed, SessionEvent
from whatsapp.facts import Facts
from whatsapp.leases import Lease, LeaseLost
from whatsapp.models import Session
from whatsapp.pacing import Pacer
from whatsapp.policy import NO_CODES, NO_DEVICE, UNLINK_ATTEMPTS_MOST, backoff
from whatsapp.sending import Sender
from whatsapp.troubles import Trouble
from whatsapp.unlinking import remove_device

log = structlog.get_logger("pool")
Status, Wanted = Session.Status, Session.Wanted
P = ParamSpec("P")
T = TypeVar("T")

CODE_FITS_BEFORE = 90.0  # seconds; an older pairing attempt ends before a code could be typed
FIRST_QR_WAIT = 20.0  # seconds; many attempts at once wait for their turn
COPY_INTERVAL = 120.0
DATABASE_RETRY = 0.5
ANSWER_AT_STOP = 2.5  # seconds that WhatsApp has for what is in flight when the line is closed on purpose


class SessionRunner:
    """Cares for one leased session until it is lost, given back, or at rest."""

    def __init__(self, *, lease: Lease, engine: Engine, pacer: Pacer, facts: Facts) -> None:
        self.lease = lease
        self.engine = engine
        self.facts = facts
        self.session = str(lease.session_id)
        self.row: Session
        self.done = False
        self.lost = False
        self.seen_version = 0
        self.retry_at: float | None = None
        self.connected_since: float | None = None
        self.pairing_started = 0.0
        self.code_asked = False
        self.inbox: asyncio.Queue[SessionEvent] = asyncio.Queue()
        self.log = log.bind(session=self.session)
        self.sender = Sender(self)
        self._pacer = pacer
        self._task: asyncio.Task[None] | None = None
        self._row_changed = False
        self._stopping = False
        self._woken = asyncio.Event()
        self._copied_at = time.monotonic()  # of the last look
        self._copied_state = 0.0  # the key store's modification time at the last copy

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
            await self._rest_after_fault(error)
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
                await reactions.react(self, self.inbox.get_nowait())
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
        return self._copied_at + COPY_INTERVAL if self.connected_since else None

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

    # --- the row -------------------------------------------------------------------------------

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
            await self._renew_pairing()

    async def connect(self) -> None:
        """Start the session: from its key store when a device is linked, else a pairing attempt."""
        self.retry_at = None
        if not self.row.is_linked:
            await self._start_pairing()
            return
        try:
            keys = await self.database(vault.prepare, self.session)
        except vault.CredentialsMissing as error:
            await self.lose_device(
                note="credentials_unusable", detail=str(error), trouble=Trouble.CREDENTIALS
            )
            return
        except vault.CredentialsDamaged as error:
            # Kept: with the right encryption key they may be readable again.
            await self.rest(
                status=Status.FAILED,
                note="credentials_unusable",
                error=str(error),
                trouble=Trouble.CREDENTIALS,
            )
            return
        status = Status.RECONNECTING if self.row.connected_at else Status.CONNECTING
        await self.write(status=status, last_error="", note=keys.note, detail=keys.detail, **NO_CODES)
        await self.start_engine(keys.path, pairing=False)

    async def _start_pairing(self) -> None:
        # The key store is not cleared: a pool killed right after the scan left a linked device in it.
        path = vault.store_path(self.session)
        self.pairing_started, self.code_asked = time.monotonic(), False
        await self.write(
            status=Status.STARTING, pairing_done_at=self.row.pairing_requested_at, last_error="", **NO_CODES
        )
        await self.start_engine(path, pairing=True)

    async def start_engine(self, path: Path, *, pairing: bool) -> None:
        """Hand the session to the engine, at the pool's pace."""
        await self._pacer.wait()
        if self.lease.is_over:
            raise LeaseLost(self.session)
        self.lease.host = ""
        try:
            await self.engine.start(self.session, path, pairing=pairing)
        except EngineError as error:
            await self.try_later(str(error))

    async def _renew_pairing(self) -> None:
        """A new code was asked for: from the running attempt when it has time for one, else a new attempt."""
        age = time.monotonic() - self.pairing_started
        running = self.engine.owns(self.session)
        wants_code = bool(self.row.pairing_phone)
        if running and not self.row.qr and age < FIRST_QR_WAIT:
            await self.write(pairing_done_at=self.row.pairing_requested_at)  # it is coming
        elif running and wants_code and not self.code_asked and age < CODE_FITS_BEFORE:
            await self.write(pairing_done_at=self.row.pairing_requested_at)
            await self.ask_for_code()
        else:
            await self.off_line()
            await self._start_pairing()

    async def ask_for_code(self) -> None:
        """Ask WhatsApp for a pairing code; the engine's answer is an event."""
        self.code_asked = True
        try:
            await self.engine.request_pairing_code(self.session, self.row.pairing_phone)
        except EngineError as error:
            await self.write(pairing_error="failed", last_error=str(error))

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
            next_attempt_at=timezone.now() + timedelta(seconds=backoff(attempts)),
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

    # --- steps that several reactions share ----------------------------------------------------

    async def off_line(self) -> None:
        """End the engine's session; of what it still had to say, only what concerns messages counts."""
        self.connected_since = None
        self.retry_at = None
        await self.engine.stop(self.session)
        await self.sender.close()

    async def try_later(self, reason: str, trouble: Trouble = Trouble.NETWORK) -> None:
        """Note a failure that may pass, and when the next attempt comes."""
        attempts = self.row.attempts + 1
        wait = backoff(attempts)
        self.retry_at = time.monotonic() + wait
        await self.write(
            status=Status.RECONNECTING if self.row.is_linked else Status.STARTING,
            attempts=attempts,
            last_error=reason,
            trouble=trouble if self.row.is_linked else self.row.trouble,
            next_attempt_at=timezone.now() + timedelta(seconds=wait),
            note="connect_failed",
            detail=f"{reason}; next attempt in {wait:.0f} s",
        )

    async def rest(
        self, *, status: Session.Status, note: str, error: str, detail: str = "", **changes: Any
    ) -> None:
        """Stop, say why, and give the session back; what wakes it again is in the row."""
        await self.off_line()
        await self.write(
            status=status, last_error=error, note=note, detail=detail or error, **NO_CODES, **changes
        )
        await self.give_back()

    async def lose_device(self, *, note: str, detail: str, trouble: Trouble) -> None:
        """The link is gone for good: destroy the credentials, forget the device, rest."""
        await self.off_line()
        await self.database(vault.destroy, self.session)
        await self.write(
            status=Status.LOGGED_OUT,
            wanted=Wanted.STOPPED,
            attempts=0,
            next_attempt_at=None,
            last_error=detail,
            trouble=trouble,
            banned_until=None,
            note=note,
            detail=detail,
            **NO_DEVICE,
        )
        await self.database(messages.fail_waiting, session=self.row)
        await self.give_back()

    async def copy(self) -> None:
        """Take a copy of the key store into the vault when it changed since the last one."""
        modified = vault.modified_at(self.session)
        if modified > self._copied_state:
            try:
                await self.database(vault.take_copy, self.lease)
            except vault.StoreDamaged as error:
                await self.write(note="copy_failed", detail=f"{error}; the last good copy is kept")
            self._copied_state = modified
        self._copied_at = time.monotonic()

    async def _rest_after_fault(self, error: Exception) -> None:
        attempts = self.row.attempts + 1 if hasattr(self, "row") else 1
        wait = timedelta(seconds=backoff(attempts + 2))
        try:
            await self.write(
                attempts=attempts,
                last_error=repr(error)[:500],
                next_attempt_at=timezone.now() + wait,
                note="fault",
                detail=repr(error),
            )
            await self.give_back()
        except (LeaseLost, DatabaseError) as second:
            self.log.warning("fault not recorded", error=repr(second))
