"""The sessions of one host: takes the supervisor's commands and never waits while doing so."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable

from whatsapp.engine.commands import (
    Answerable,
    CheckNumbers,
    Command,
    Logout,
    RequestPairingCode,
    Send,
    SendMedia,
    Shutdown,
    Start,
    Stop,
)
from whatsapp.engine.events import Event, LogoutDone, NumbersChecked, PairingCodeFailed, SendFailed, Stopped
from whatsapp.engine.host.lock import LibraryLock
from whatsapp.engine.host.session import Session
from whatsapp.engine.host.spool import ROTATE_EVERY
from whatsapp.engine.host.uploads import Uploads

HANG_UP_MOST = 1.0


class Runner:
    """Starts sessions one after another (a start is exclusive in the library anyway), stops each on a
    thread of its own, and hands the rest to the session's worker."""

    def __init__(self, *, device_name: str, upload_timeout: float, write: Callable[[Event], None]) -> None:
        self._device_name = device_name
        self._uploads = Uploads(seconds=upload_timeout)
        self._write = write
        self._lock = LibraryLock()
        self._sessions: dict[str, Session] = {}
        self._sessions_lock = threading.Lock()
        self._hung_up = False
        self._starts: queue.SimpleQueue[Session] = queue.SimpleQueue()
        threading.Thread(target=self._run_starts, name="starter", daemon=True).start()
        threading.Thread(target=self._rotate_spools, name="spools", daemon=True).start()

    def count(self) -> int:
        """Sessions that are held now."""
        return len(self._sessions)

    def handle(self, command: Command) -> None:
        """Take one command."""
        if isinstance(command, Start):
            self._start(command)
        elif isinstance(command, Stop):
            self._stop(command.session)
        elif isinstance(command, Shutdown):
            self._shutdown()
        else:
            self._submit(command)

    def hang_up(self) -> None:
        """Close every line at once: the supervisor is gone, and another one may start the same sessions as
        soon as this process has ended. What the library still hands on is in the spools when this returns,
        after HANG_UP_MOST seconds at the latest."""
        self._hung_up = True
        with self._sessions_lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.claim_stop()  # one that waits for its start begins no more
        linked = [session for session in sessions if not session.qr_waiting]
        closing = [threading.Thread(target=session.close_line, daemon=True) for session in linked]
        deadline = time.monotonic() + HANG_UP_MOST
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self, command: Start) -> None:
        with self._sessions_lock:
            if command.session in self._sessions:
                raise RuntimeError("a session was started twice")
            session = Session(
                command,
                device_name=self._device_name,
                lock=self._lock,
                write=self._write,
                on_over=self._close,
            )
            self._sessions[command.session] = session
        self._starts.put(session)

    def _run_starts(self) -> None:
        while True:
            session = self._starts.get()
            if not self._hung_up:
                session.start()

    def _rotate_spools(self) -> None:
        while True:
            time.sleep(ROTATE_EVERY)
            with self._sessions_lock:
                # One that waits for its start has not repeated yet what the last run has kept.
                begun = [session for session in self._sessions.values() if session.begun]
            for session in begun:
                session.spool.rotate()

    def _stop(self, name: str) -> None:
        session = self._sessions.get(name)
        if session is None:
            self._write(Stopped(name))
        else:
            self._close(session)

    def _close(self, session: Session) -> None:
        if session.claim_stop():
            threading.Thread(target=self._finish, args=[session], name="stopper", daemon=True).start()

    def _finish(self, session: Session) -> None:
        if session.pairing and session.qr_waiting:
            # The library cannot end a connection that waits for a scan; the process, its own, can.
            self._write(Stopped(session.id))
            os._exit(0)
        session.stop()
        with self._sessions_lock:
            if self._sessions.get(session.id) is session:
                del self._sessions[session.id]
        self._write(Stopped(session.id))

    def _submit(self, command: Command) -> None:
        if not isinstance(command, Answerable | RequestPairingCode | Logout):
            raise RuntimeError(f"{type(command).__name__} is not for a host")
        session = self._sessions.get(command.session)
        if session is None:
            self._write(_not_here(command))
        elif isinstance(command, SendMedia):
            self._uploads.begin(session, command, session.submit)
        else:
            session.submit(command)

    def _shutdown(self) -> None:
        with self._sessions_lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            self._close(session)
        while self._sessions:
            threading.Event().wait(0.05)
        os._exit(0)


def _not_here(command: Answerable | RequestPairingCode | Logout) -> Event:
    reason = "not_connected: the session is not running"
    if isinstance(command, Send | SendMedia):
        return SendFailed(command.session, command.ref, reason, permanent=False)
    if isinstance(command, CheckNumbers):
        return NumbersChecked(command.session, command.ref, [], reason)
    if isinstance(command, RequestPairingCode):
        return PairingCodeFailed(command.session, "not_waiting", "No linking is under way.")
    return LogoutDone(command.session, reason)
