"""One session inside a host: its connection thread and its worker."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from whatsapp.engine.commands import Command, Start
from whatsapp.engine.events import ConnectFailed, Event
from whatsapp.engine.host import request_handlers, translate
from whatsapp.engine.host.library import Client, LibraryError
from whatsapp.engine.host.listener import Listener
from whatsapp.engine.host.lock import LibraryLock
from whatsapp.engine.host.spool import Spool
from whatsapp.engine.host.uploads import Uploaded

# Longer than the library's own waiting for a handshake (20 s) and for a dead address (30 s).
FIRST_ANSWER_TIMEOUT = 35.0
JOIN_TIMEOUT = 5.0

_runs = count(1)


class Session(Listener):
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
        self.spool = Spool(Path(start.store_path))
        super().__init__(start.session, write=self.spool.recording(write))
        self._replay = write
        self._repeats = start.repeats
        self.pairing = start.pairing
        self._lock = lock
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
        self._usable = False
        self._connection = threading.Thread(target=self._connect, name="connection", daemon=True)
        self._worker: threading.Thread | None = None
        self._commands: queue.SimpleQueue[Command | Uploaded | None] = queue.SimpleQueue()

    @property
    def begun(self) -> bool:
        """What the last run has kept is repeated, and the connection was begun."""
        return self._connection.ident is not None

    def start(self) -> None:
        """Connect; returns when the library has answered once, or failed. Blocks other starts and stops."""
        for event in self.spool.read_events() if self._repeats else []:
            self._replay(event)
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
        """Close the connection. One that waits for a scan goes on in the library until its codes have
        run out.

        First the line alone: stopped at once, the library would forget a message that it has decrypted and
        not handed on yet, and WhatsApp's repetition of it would be taken for one that is known.
        """
        self.close_line()
        with self._lock.exclusive():
            self._usable = False
            if self._connection.ident is not None:
                self.client.stop()
        self._commands.put(None)
        deadline = time.monotonic() + JOIN_TIMEOUT
        for thread in (self._worker, None if self.qr_waiting else self._connection):
            if thread is not None and thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        self.spool.close()

    def close_line(self) -> None:
        """Close the connection to WhatsApp, and return when the library hands nothing on any more."""
        with suppress(LibraryError):
            with self.library() as client:
                client.disconnect()
            self.wait_for_silence()

    def submit(self, command: Command | Uploaded) -> None:
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

    def _close(self) -> None:
        self._on_over(self)

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
            request_handlers.handle(self, command, self._write)

    def _mark_answered(self) -> None:
        if not self._stopping:
            self._usable = True
        self._answered.set()
