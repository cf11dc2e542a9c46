"""The message events of the last seconds, in a file beside the key store.

The library confirms to WhatsApp what it hands us, and WhatsApp repeats nothing: an acknowledgement, a
receipt, or what a client wrote would be gone with a pool that is killed before it has read its hosts' lines.
So each of these is in the file before it is on the line, and a session that starts again first repeats what
the last run's file holds. Whoever writes it down a second time changes nothing by it. The file outlasts its
run: the pool removes it when the session is at rest and everything is written (`whatsapp.pool.spool_files`).

The file is for killed processes, not for a lost machine: nothing waits for the disk.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from whatsapp.engine.events import Event, MessageEvent
from whatsapp.engine.protocol import ProtocolError, decode, encode

ROTATE_EVERY = 20.0  # seconds; at most twice as long, because two files take turns
ENDS = ("-said-old", "-said")  # of the files' names, after the key store's; the older first


def spool_paths(store_path: Path) -> tuple[Path, Path]:
    """The files beside this key store, the older first."""
    older, newer = ENDS
    return store_path.with_name(store_path.name + older), store_path.with_name(store_path.name + newer)


class Spool:
    """The file of one session; safe from any thread."""

    def __init__(self, store_path: Path) -> None:
        self._old, self._new = spool_paths(store_path)
        self._lock = threading.Lock()
        self._file: int | None = None
        self._has_new, self._has_old = self._new.exists(), self._old.exists()
        self._closed = False

    def read_events(self) -> list[MessageEvent]:
        """The events that an earlier run wrote last, in order; a last line that was cut off is left out.

        The run may have been of another version: the product is upgraded by killing it, too.
        """
        found: list[MessageEvent] = []
        for path in (self._old, self._new):
            lines = path.read_bytes().splitlines() if path.exists() else []
            for line in lines:
                with suppress(ProtocolError):
                    event = decode(line, of_any_version=True)
                    found += [event] if isinstance(event, MessageEvent) else []
        return found

    def recording(self, write: Callable[[Event], None]) -> Callable[[Event], None]:
        """`write`, with what concerns messages kept before it is written."""

        def record_and_write(event: Event) -> None:
            if isinstance(event, MessageEvent):
                self._record(event)
            write(event)

        return record_and_write

    def _record(self, event: Event) -> None:
        try:
            with self._lock:
                if self._closed:
                    return
                if self._file is None:
                    self._file = os.open(self._new, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                    # An earlier run may have been killed in the middle of its last line.
                    os.write(self._file, b"\n" if self._has_new else b"")
                    self._has_new = True
                os.write(self._file, encode(event))
        except OSError as error:  # a full disk must not keep the event from the pool
            sys.stderr.write(f"an event was not kept: {error.strerror}\n")

    def rotate(self) -> None:
        """Let go of what is older than the last turn; called every ROTATE_EVERY seconds."""
        with self._lock:
            if self._closed:
                return
            if self._has_new:
                self._close_file()
                with suppress(FileNotFoundError):  # destroyed with the key store
                    self._new.replace(self._old)
                self._has_new, self._has_old = False, True
            elif self._has_old:
                self._old.unlink(missing_ok=True)
                self._has_old = False

    def close(self) -> None:
        """Touch the files no more: they are the pool's, or the next run's."""
        with self._lock:
            self._closed = True
            self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
