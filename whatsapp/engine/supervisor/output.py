"""What a child process prints: into the log, scrubbed, with the last lines kept to explain its end."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from whatsapp.engine.supervisor.scrub import scrub

logger = logging.getLogger("whatsapp.engine.host")

LAST_LINES = 15
TROUBLE = ("Traceback", "Exception ignored", "fatal error", "panic")


class Output:
    """The lines of one process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Log every line until the stream ends."""
        rest = b""
        while chunk := await stream.read(4096):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-4096:]
            for line in lines:
                self._log(line)
        if rest:
            self._log(rest)

    def cause(self) -> str:
        """The line that explains an unexpected end best; empty when nothing was printed."""
        fatal = next((line for line in self._last_lines if line.startswith(("fatal error", "panic"))), "")
        return fatal or (self._last_lines[-1] if self._last_lines else "")

    def _log(self, line: bytes) -> None:
        text = scrub(line.decode(errors="replace").strip())
        if text:
            self._last_lines.append(text)
            level = logging.WARNING if text.startswith(TROUBLE) else logging.DEBUG
            logger.log(level, "%s: %s", self._name, text)
