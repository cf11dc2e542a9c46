"""The library's callbacks about one session, translated into our events."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from whatsapp.engine.events import (
    ClientOutdated,
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    KeepAliveRestored,
    KeepAliveTimeout,
    LoggedOut,
    MessageEvent,
    PairingEnded,
    QrCode,
    Receipt,
    Replaced,
)
from whatsapp.engine.host import translate
from whatsapp.engine.host.library import Client, LibraryError

FIRST_QR_LIFETIME = 60.0
NEXT_QR_LIFETIME = 20.0
QR_CODES = 6
# The library names an unexpected state first and says what it was a moment later.
EXPLANATION_WAIT = 5.0
# The line closed, the library still hands on what it has decrypted, and does not say when that is done.
SILENCE_AFTER_LINE = 0.25
SILENCE_MOST = 3.0
LOST = "the connection was lost"


class Listener(ABC):
    """Handles the callbacks, which run on foreign threads one after another, and ends the session once."""

    def __init__(self, session: str, *, write: Callable[[Event], None]) -> None:
        self.id = session
        self.qr_waiting = False
        self.logging_out = False
        self._write = write
        self._state = threading.Lock()
        self._over = False
        self._stopping = False
        self._loss = LOST
        self._receipts = threading.Lock()
        self._sending = False
        self._held_receipts: list[Receipt] = []
        self._qr_codes = 0
        self._first_qr_at = 0.0
        self._called_back = threading.Condition()
        self._callbacks_running = 0

    @abstractmethod
    def library(self) -> AbstractContextManager[Client]:
        """The client for one call."""

    @abstractmethod
    def _mark_answered(self) -> None:
        """The library has called back."""

    @abstractmethod
    def _close(self) -> None:
        """Have the session stopped, from another thread."""

    @contextmanager
    def hold_receipts(self) -> Iterator[None]:
        """Hold receipts back until the answer to a send is written: they can overtake it, and a receipt
        of a message that the pool does not know by its id yet would be lost."""
        with self._receipts:
            self._sending = True
        try:
            yield
        finally:
            with self._receipts:
                self._sending = False
                while self._held_receipts:
                    self.emit(self._held_receipts.pop(0))

    def emit(self, event: Event) -> None:
        """Write an event, unless the session is over. What concerns messages is written also then: the
        library has confirmed it to WhatsApp, which does not repeat it."""
        if not self._over or isinstance(event, MessageEvent):
            self._write(event)

    def wait_for_silence(self) -> None:
        """Return when no callback is running and none has come for SILENCE_AFTER_LINE seconds, or after
        SILENCE_MOST."""
        deadline = time.monotonic() + SILENCE_MOST
        with self._called_back:
            while (left := deadline - time.monotonic()) > 0:
                called = self._called_back.wait(min(left, SILENCE_AFTER_LINE))
                if not called and not self._callbacks_running:
                    return

    def _end(self, event: Event) -> None:
        """Write the terminal event, once, and have the session stopped (not here: this may be a callback)."""
        with self._state:
            if self._over:
                return
            self._over = True
        self._write(event)
        self._close()

    def _qr(self, text: str) -> None:
        self.qr_waiting = True
        self._mark_answered()
        if self._qr_codes == 0:
            self._first_qr_at = time.monotonic()
        lifetime = NEXT_QR_LIFETIME if self._qr_codes else FIRST_QR_LIFETIME
        self._qr_codes += 1
        self.emit(QrCode(self.id, text, lifetime))

    def _login_status(self, word: str) -> None:
        self.qr_waiting = False
        self._mark_answered()
        if word == "timeout":
            lasted = time.monotonic() - self._first_qr_at
            ran_out = self._qr_codes >= QR_CODES and lasted > (QR_CODES - 1) * NEXT_QR_LIFETIME
            detail = "nobody scanned a code" if ran_out else "WhatsApp closed the connection"
            self._end(PairingEnded(self.id, "timeout" if ran_out else "error", detail))
        elif word in ("err-unexpected-state", "err-client-outdated"):
            # The event that says what happened is on its way.
            late = threading.Timer(EXPLANATION_WAIT, self._end, [PairingEnded(self.id, "error", word)])
            late.daemon = True
            late.start()
        elif word != "success":
            self._end(PairingEnded(self.id, "error", word))

    def _event(self, kind: str, event: Any) -> None:
        with self._callback():
            self._mark_answered()
            handler = getattr(self, f"_on_{kind.lower()}")
            handler(event)

    @contextmanager
    def _callback(self) -> Iterator[None]:
        with self._called_back:
            self._callbacks_running += 1
            self._called_back.notify_all()
        try:
            yield
        finally:
            with self._called_back:
                self._callbacks_running -= 1
                self._called_back.notify_all()

    def _on_connected(self, _event: Any) -> None:
        try:
            with self.library() as client:
                me = client.identity()
        except LibraryError:
            return  # Stopped meanwhile.
        jid = translate.jid_text(me.JID) or ""
        lid = translate.bare_jid_text(me.LID)
        self.emit(Connected(self.id, me.JID.User, jid, lid, me.PushName))

    def _on_disconnected(self, _event: Any) -> None:
        reason, self._loss = self._loss, LOST
        if not self._stopping:
            self.emit(Disconnected(self.id, reason))

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
        self.emit(KeepAliveTimeout(self.id))

    def _on_keepaliverestored(self, _event: Any) -> None:
        self.emit(KeepAliveRestored(self.id))

    def _on_message(self, event: Any) -> None:
        message = translate.incoming(self.id, event)
        if message is not None:
            self.emit(message)

    def _on_receipt(self, event: Any) -> None:
        receipt = translate.receipt(self.id, event)
        if receipt is None:
            return
        with self._receipts:
            if self._sending:
                self._held_receipts.append(receipt)
            else:
                self.emit(receipt)
