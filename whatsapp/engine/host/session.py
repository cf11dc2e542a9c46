"""One session inside a host: its connection thread, its worker, and its events."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from whatsapp.engine.host import asking, translate
from whatsapp.engine.host.library import Client, LibraryError
from whatsapp.engine.host.lock import LibraryLock
from whatsapp.engine.protocol import (
    ClientOutdated,
    Command,
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    KeepAliveRestored,
    KeepAliveTimeout,
    LoggedOut,
    PairingEnded,
    QrCode,
    Replaced,
    Start,
)

FIRST_QR_LIFETIME = 60.0
NEXT_QR_LIFETIME = 20.0
QR_CODES = 6
# Longer than the library's own waiting for a handshake (20 s) and for a dead address (30 s).
FIRST_ANSWER_TIMEOUT = 35.0
FAREWELL = 5.0
LOST = "the connection was lost"

_runs = count(1)


class Session:
    """From Start to Stopped. A restart of the same session is a new object with a new library name, so
    that late callbacks of the old connection cannot be taken for the new one's."""

    def __init__(
        self,
        start: Start,
        *,
        device_name: str,
        lock: LibraryLock,
        write: Callable[[Event], None],
        on_over: Callable[[Session], None],
    ) -> None:
        self.id = start.session
        self._lock = lock
        self._write = write
        self._on_over = on_over
        self.client = Client(
            store_path=start.store_path,
            name=f"{start.session}/{next(_runs)}",
            device_name=device_name,
            on_qr=self._qr,
            on_login_status=self._login_status,
            on_event=self._event,
        )
        self._answered = threading.Event()
        self._state = threading.Lock()
        self._over = False
        self._stopping = False
        self._usable = False
        self._loss = LOST
        self._qr_codes = 0
        self._first_qr_at = 0.0
        self.qr_waiting = False
        self.logging_out = False
        self._connection = threading.Thread(target=self._connect, name="connection", daemon=True)
        self._worker: threading.Thread | None = None
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()

    def start(self) -> None:
        """Connect; returns when the library has answered once, or failed. Blocks other starts and stops."""
        ticket = self._lock.acquire_exclusive()
        try:
            if self._stopping:
                return
            self._connection.start()
            answered = self._answered.wait(FIRST_ANSWER_TIMEOUT)
        finally:
            self._lock.release_exclusive(ticket)
        if not answered:
            self._end(ConnectFailed(self.id, "WhatsApp does not answer", permanent=False))

    def claim_stop(self) -> bool:
        """Whether the caller is the first who wants to stop this session, and so has to."""
        with self._state:
            first, self._stopping, self._over = not self._stopping, True, True
            return first

    def stop(self) -> None:
        """Close the connection. Must not be called while a QR code waits: the library would not return."""
        with self._lock.exclusive():
            self._usable = False
            if self._connection.ident is not None:
                self.client.stop()
        self._commands.put(None)
        for thread in (self._connection, self._worker):
            if thread is not None and thread.ident is not None:
                thread.join(FAREWELL)

    def submit(self, command: Command) -> None:
        """Do what the command asks, in order, on the session's own worker."""
        self._commands.put(command)
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, name="worker", daemon=True)
            self._worker.start()

    @contextmanager
    def library(self) -> Iterator[Client]:
        """The client for one call; raises LibraryError when the session is not running (the library
        would end the process on a name that is not in its maps)."""
        with self._lock.shared():
            if not self._usable:
                raise LibraryError("websocket not connected: the session is not running")
            yield self.client

    def say(self, event: Event) -> None:
        """Tell the supervisor, unless the session is over."""
        if not self._over:
            self._write(event)

    def _connect(self) -> None:
        reason = "the connection ended"
        try:
            self.client.connect()
        except LibraryError as error:
            reason = translate.without_numbers(str(error))
        finally:
            self._usable = False
            self._answered.set()
        if not self._stopping:
            self._end(ConnectFailed(self.id, reason, permanent=False))

    def _work(self) -> None:
        while (command := self._commands.get()) is not None:
            asking.answer(self, command, self._write)

    def _end(self, event: Event) -> None:
        """Say the session's last word, once, and have it stopped (not here: this may be a callback)."""
        with self._state:
            if self._over:
                return
            self._over = True
        self._write(event)
        self._on_over(self)

    def _answer(self) -> None:
        if not self._stopping:
            self._usable = True
        self._answered.set()

    def _qr(self, text: str) -> None:
        self.qr_waiting = True
        self._answer()
        if self._qr_codes == 0:
            self._first_qr_at = time.monotonic()
        lifetime = NEXT_QR_LIFETIME if self._qr_codes else FIRST_QR_LIFETIME
        self._qr_codes += 1
        self.say(QrCode(self.id, text, lifetime))

    def _login_status(self, word: str) -> None:
        self.qr_waiting = False
        self._answer()
        if word == "timeout":
            lasted = time.monotonic() - self._first_qr_at
            ran_out = self._qr_codes >= QR_CODES and lasted > (QR_CODES - 1) * NEXT_QR_LIFETIME
            detail = "nobody scanned a code" if ran_out else "WhatsApp closed the connection"
            self._end(PairingEnded(self.id, "timeout" if ran_out else "error", detail))
        elif word in ("err-unexpected-state", "err-client-outdated"):
            # The event that says what happened is on its way.
            late = threading.Timer(FAREWELL, self._end, [PairingEnded(self.id, "error", word)])
            late.daemon = True
            late.start()
        elif word != "success":
            self._end(PairingEnded(self.id, "error", word))

    def _event(self, kind: str, event: Any) -> None:
        self._answer()
        handler = getattr(self, f"_on_{kind.lower()}")
        handler(event)

    def _on_connected(self, _event: Any) -> None:
        try:
            with self.library() as client:
                me = client.identity()
        except LibraryError:
            return  # Stopped meanwhile.
        jid = translate.jid_text(me.JID) or ""
        lid = translate.bare_jid_text(me.LID)
        self.say(Connected(self.id, me.JID.User, jid, lid, me.PushName))

    def _on_disconnected(self, _event: Any) -> None:
        reason, self._loss = self._loss, LOST
        if not self._stopping:
            self.say(Disconnected(self.id, reason))

    def _on_loggedout(self, event: Any) -> None:
        if not self.logging_out:
            self._end(LoggedOut(self.id, translate.enum_name(event, "Reason").lower()))

    def _on_streamreplaced(self, _event: Any) -> None:
        self._end(Replaced(self.id))

    def _on_temporaryban(self, event: Any) -> None:
        self._end(translate.ban(self.id, event))

    def _on_connectfailure(self, event: Any) -> None:
        reason = translate.enum_name(event, "Reason").lower()
        self._end(ConnectFailed(self.id, f"WhatsApp refused the login: {reason}", permanent=False))

    def _on_clientoutdated(self, _event: Any) -> None:
        self._end(ClientOutdated(self.id))

    def _on_streamerror(self, event: Any) -> None:
        self._loss = f"stream error {event.Code}"  # Disconnected follows.

    def _on_pairstatus(self, event: Any) -> None:
        if translate.enum_name(event, "Status") == "ERROR":
            self._end(PairingEnded(self.id, "error", translate.without_numbers(event.Error)))

    def _on_keepalivetimeout(self, _event: Any) -> None:
        self.say(KeepAliveTimeout(self.id))

    def _on_keepaliverestored(self, _event: Any) -> None:
        self.say(KeepAliveRestored(self.id))

    def _on_message(self, event: Any) -> None:
        message = translate.incoming(self.id, event)
        if message is not None:
            self.say(message)

    def _on_receipt(self, event: Any) -> None:
        receipt = translate.receipt(self.id, event)
        if receipt is not None:
            self.say(receipt)
