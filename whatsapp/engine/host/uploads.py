"""Uploads of pictures and documents, each on threads of its own: WhatsApp's media host may hang.

The session's worker goes on with texts meanwhile; it gets the message back when the file is uploaded, and
sends it between the others. The library cannot be told to give up, so a thread that hangs in it is left
behind: its message is answered, and nothing comes of what it still does. The memory that such threads hold
comes back when the supervisor replaces the host for its size.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from whatsapp.engine.commands import SendMedia
from whatsapp.engine.events import SendFailed
from whatsapp.engine.host import translate
from whatsapp.engine.host.library import LibraryError
from whatsapp.engine.host.listener import Listener

# Of the files that are uploaded at once; each is in memory about four times meanwhile.
MOST_BYTES = 48 * 1024 * 1024
MOST_THREADS = 100  # in the library, those left behind included


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A message whose file is at WhatsApp: the command without the bytes, and the library's words of the
    upload."""

    command: SendMedia
    file: Any


class Uploads:
    """The uploads of one host; `seconds` bounds each, the wait for its turn included."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._bytes = 0
        self._threads = 0

    def begin(self, session: Listener, command: SendMedia, then: Callable[[Uploaded], None]) -> None:
        """Upload the file and call `then`, or write why not; returns at once."""
        threading.Thread(target=self._run, args=[session, command, then], name="media", daemon=True).start()

    def _run(self, session: Listener, command: SendMedia, then: Callable[[Uploaded], None]) -> None:
        ends = time.monotonic() + self._seconds
        if not self._take_turn(len(command.data), ends):
            session.emit(_failed(command, "others take too long"))
            return
        result: Future[Any] = Future()
        upload = threading.Thread(
            target=self._upload, args=[session, command, result], name="upload", daemon=True
        )
        upload.start()
        try:
            then(Uploaded(replace(command, data=b""), result.result(ends - time.monotonic())))
        except TimeoutError:
            session.emit(_failed(command, "it took too long"))
        except LibraryError as error:
            session.emit(translate.upload_failure(command, str(error)))
        finally:
            self._end_turn(len(command.data))

    def _upload(self, session: Listener, command: SendMedia, result: Future[Any]) -> None:
        try:
            with session.library() as client:
                result.set_result(client.upload_file(command.kind, command.data))
        except LibraryError as error:
            result.set_exception(error)
        finally:
            with self._changed:
                self._threads -= 1
                self._changed.notify_all()

    def _take_turn(self, size: int, ends: float) -> bool:
        """Whether there was room for a file of this size before `ends`."""
        with self._changed:
            while self._threads >= MOST_THREADS or (self._bytes and self._bytes + size > MOST_BYTES):
                if not self._changed.wait(max(0.0, ends - time.monotonic())):
                    return False
            self._bytes += size
            self._threads += 1
            return True

    def _end_turn(self, size: int) -> None:
        with self._changed:
            self._bytes -= size
            self._changed.notify_all()


def _failed(command: SendMedia, reason: str) -> SendFailed:
    return SendFailed(command.session, command.ref, f"upload_failed: {reason}", permanent=False)
