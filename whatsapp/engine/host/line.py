"""The host's end of the line to its supervisor."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from whatsapp.engine.commands import Command, Ping, SendMedia
from whatsapp.engine.events import Event, Pong
from whatsapp.engine.file_passing import receive_file
from whatsapp.engine.host.permit import Permit
from whatsapp.engine.protocol import decode, encode

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


class Line:
    """Reads commands and writes events; safe to write from any thread.

    A write blocks while the supervisor does not read: that slows the library down instead of filling the
    memory. When the supervisor is gone `commands` ends, and what is written then reaches nobody.
    """

    def __init__(
        self,
        connection: socket.socket,
        files: socket.socket,
        count_sessions: Callable[[], int],
        permit: Permit,
    ) -> None:
        self._connection = connection
        self._files = files
        self._count_sessions = count_sessions
        self._permit = permit
        self._writing = threading.Lock()

    def write(self, event: Event) -> None:
        """Hand one event to the supervisor, if there is one."""
        data = encode(event)
        with suppress(OSError), self._writing:
            self._connection.sendall(data)

    def commands(self) -> Iterator[Command]:
        """Every command but Ping, which is answered here, with its file if it has one; ends when the
        supervisor hangs up."""
        # A supervisor that ends with something unread resets the line.
        with suppress(ConnectionError), self._connection.makefile("rb") as lines:
            for raw in lines:
                message = decode(raw)
                if isinstance(message, Ping):
                    self._permit.extend(message.until)
                    self.write(self._pong(message.nonce))
                elif isinstance(message, SendMedia):
                    yield replace(message, data=receive_file(self._files))
                else:
                    yield message  # type: ignore[misc]  # the supervisor sends commands only

    def _pong(self, nonce: int) -> Pong:
        resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
        return Pong(
            nonce=nonce,
            rss_bytes=resident_pages * PAGE_SIZE,
            threads=sum(1 for _ in Path("/proc/self/task").iterdir()),
            sessions=self._count_sessions(),
        )
