"""What is done with a session's link: put on line, paired, taken off line, unlinked, given up, copied.

Each step leaves the row saying what is so. When each is due is decided by `runner` and `event_handlers`.
"""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from whatsapp.engine import EngineError
from whatsapp.messages import message_queue
from whatsapp.messages.pacing import Pacer
from whatsapp.messages.sender import Sender
from whatsapp.models import Session, Trouble
from whatsapp.pool import key_files, spool_files, vault
from whatsapp.sessions import policy
from whatsapp.sessions.context import SessionContext
from whatsapp.sessions.leases import LeaseLost
from whatsapp.sessions.policy import NO_CODES, NO_DEVICE

Status, Wanted = Session.Status, Session.Wanted

CODE_FITS_BEFORE = 90.0  # seconds; an older pairing attempt ends before a code could be typed
FIRST_QR_WAIT = 20.0  # seconds; many attempts at once wait for their turn
WRITTEN_WITHIN = 1.0  # seconds for what was heard of messages; what takes longer is kept beside the key store


class Link:
    """The link of one leased session; every method is called in the runner's task."""

    def __init__(self, context: SessionContext, sender: Sender, pacer: Pacer) -> None:
        self.context = context
        self.sender = sender
        self.retry_at: float | None = None
        self.pairing_started = 0.0
        self.code_asked = False
        self.copied_at = time.monotonic()  # when a copy was last considered
        self._copied_state = 0.0  # the key store's modification time at the last copy
        self._pacer = pacer

    async def connect(self) -> None:
        """Start the session: from its key store when a device is linked, else a pairing attempt."""
        self.retry_at = None
        if not self.context.row.is_linked:
            await self._start_pairing()
            return
        try:
            keys = await self.context.database(vault.prepare, self.context.session)
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
        status = Status.RECONNECTING if self.context.row.connected_at else Status.CONNECTING
        await self.context.write(status=status, last_error="", note=keys.note, detail=keys.detail, **NO_CODES)
        await self.start_engine(keys.path, pairing=False)

    async def _start_pairing(self) -> None:
        # The key store is not cleared: a pool killed right after the scan left a linked device in it.
        path = key_files.store_path(self.context.session)
        self.pairing_started, self.code_asked = time.monotonic(), False
        await self.context.write(
            status=Status.STARTING,
            pairing_done_at=self.context.row.pairing_requested_at,
            last_error="",
            **NO_CODES,
        )
        await self.start_engine(path, pairing=True)

    async def start_engine(self, path: Path, *, pairing: bool) -> None:
        """Hand the session to the engine: a linked one at the pool's pace, a pairing attempt at once,
        because a person waits for its code and the engine bounds how many begin at a time."""
        if not pairing:
            await self._pacer.wait()
        if self.context.lease.is_over:
            raise LeaseLost(self.context.session)
        self.context.lease.host = ""
        try:
            await self.context.engine.start(self.context.session, path, pairing=pairing)
        except EngineError as error:
            await self.try_later(str(error))

    async def renew_pairing(self) -> None:
        """A new code was asked for: from the running attempt when it has time for one, else a new attempt."""
        age = time.monotonic() - self.pairing_started
        running = self.context.engine.owns(self.context.session)
        wants_code = bool(self.context.row.pairing_phone)
        if running and not self.context.row.qr and age < FIRST_QR_WAIT:
            await self.context.write(pairing_done_at=self.context.row.pairing_requested_at)  # it is coming
        elif running and wants_code and not self.code_asked and age < CODE_FITS_BEFORE:
            await self.context.write(pairing_done_at=self.context.row.pairing_requested_at)
            await self.ask_for_code()
        else:
            await self.off_line()
            await self._start_pairing()

    async def ask_for_code(self) -> None:
        """Ask WhatsApp for a pairing code; the engine's answer is an event."""
        self.code_asked = True
        try:
            await self.context.engine.request_pairing_code(
                self.context.session, self.context.row.pairing_phone
            )
        except EngineError as error:
            await self.context.write(pairing_error="failed", last_error=str(error))

    async def off_line(self) -> None:
        """End the engine's session; of what it still had to say, only what concerns messages counts."""
        self.context.connected_since = None
        self.retry_at = None
        await self.context.engine.stop(self.context.session)
        await self.sender.close()

    async def try_later(self, reason: str, trouble: Trouble = Trouble.NETWORK) -> None:
        """Note a failure that may pass, and when the next attempt comes."""
        attempts = self.context.row.attempts + 1
        wait = policy.backoff(attempts)
        self.retry_at = time.monotonic() + wait
        await self.context.write(
            status=Status.RECONNECTING if self.context.row.is_linked else Status.STARTING,
            attempts=attempts,
            last_error=reason,
            trouble=trouble if self.context.row.is_linked else self.context.row.trouble,
            next_attempt_at=timezone.now() + timedelta(seconds=wait),
            note="connect_failed",
            detail=f"{reason}; next attempt in {wait:.0f} s",
        )

    async def rest(
        self, *, status: Session.Status, note: str, error: str, detail: str = "", **changes: Any
    ) -> None:
        """Stop, say why, and release the session; what wakes it again is in the row."""
        await self.off_line()
        await self.seal()
        await self.context.write(
            status=status, last_error=error, note=note, detail=detail or error, **NO_CODES, **changes
        )
        await self.context.release()

    async def lose_device(self, *, note: str, detail: str, trouble: Trouble) -> None:
        """The link is gone for good: destroy the credentials, forget the device, rest."""
        await self.off_line()
        await self.context.database(vault.destroy, self.context.session)
        await self.context.write(
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
        await self.context.database(message_queue.fail_waiting, session=self.context.row)
        await self.context.release()

    async def copy(self) -> None:
        """Take a copy of the key store into the vault when it changed since the last one."""
        modified = key_files.modified_at(self.context.session)
        if modified > self._copied_state:
            try:
                await self.context.database(vault.store_copy, self.context.lease)
            except key_files.StoreDamaged as error:
                await self.context.write(note="copy_failed", detail=f"{error}; the last good copy is kept")
            self._copied_state = modified
        self.copied_at = time.monotonic()

    async def seal(self) -> None:
        """Encrypt the key store on the disk: the session is off line, and stays so."""
        if not self.context.row.is_linked:
            return
        written = await self.sender.heard_is_written(WRITTEN_WITHIN)
        try:
            await self.context.database(
                spool_files.remove if written else spool_files.seal, self.context.session
            )
            await self.context.database(key_files.seal, self.context.session)
        except (key_files.StoreDamaged, OSError) as error:
            self.context.log.warning("key store not sealed", cause=str(error))

    async def rest_after_fault(self, error: Exception) -> None:
        """Note what nobody foresaw, and release the session for later."""
        attempts = self.context.row.attempts + 1 if hasattr(self.context, "row") else 1
        wait = timedelta(seconds=policy.backoff(attempts + 2))
        try:
            await self.context.write(
                attempts=attempts,
                last_error=repr(error)[:500],
                next_attempt_at=timezone.now() + wait,
                note="fault",
                detail=repr(error),
            )
            await self.context.release()
        except (LeaseLost, DatabaseError) as second:
            self.context.log.warning("fault not recorded", error=repr(second))
