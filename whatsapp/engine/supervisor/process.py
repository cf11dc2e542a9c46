"""One host process as its supervisor sees it: spawning, the line to it, its heartbeat and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Literal

from whatsapp.engine import EngineError, EngineSettings, HostInfo, file_passing
from whatsapp.engine.commands import Command, Ping, SendMedia
from whatsapp.engine.events import HostExited, HostStarted, Pong
from whatsapp.engine.protocol import Message, ProtocolError, decode, encode
from whatsapp.engine.supervisor.child import Child
from whatsapp.engine.supervisor.fork_server import ForkServer
from whatsapp.engine.supervisor.output import Output

logger = logging.getLogger("whatsapp.engine.host")

LINE_LIMIT = 4 * 1024 * 1024

_ids = count(1)
OnMessage = Callable[["HostProcess", Message], Awaitable[None]]
OnExit = Callable[["HostProcess", HostExited], Awaitable[None]]


class HostProcess:
    """Created by `spawn`; reports every message to `on_message` (waiting for it, which slows the host
    down) and its end, exactly once, to `on_exit`."""

    def __init__(
        self,
        settings: EngineSettings,
        child: Child,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        files: socket.socket,
        permitted_until: Callable[[], float],
    ) -> None:
        self.id = f"host-{os.getpid()}-{next(_ids)}"
        self.kind: Literal["spare", "pairing", "shard"] = "spare"
        self.sessions: set[str] = set()
        self.starts = 0
        self.retiring = False
        self.started_at = time.time()
        self.rss_bytes = 0
        self.threads = 0
        self.ended = asyncio.Event()
        self._settings = settings
        self._child = child
        self._reader = reader
        self._writer = writer
        self._files = files
        self._permitted_until = permitted_until
        self._reason: str | None = None
        self._pongs = asyncio.Event()
        self._nonce = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._output = Output(self.id)
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def spawn(
        cls,
        settings: EngineSettings,
        forks: ForkServer,
        on_message: OnMessage,
        on_exit: OnExit,
        permitted_until: Callable[[], float],
    ) -> HostProcess:
        """Start a host; commands wait for it in the line. Raises OSError."""
        ours, theirs = socket.socketpair()
        files, their_files = file_passing.channel()
        output, printing = os.pipe()
        with contextlib.ExitStack() as unless_started, theirs, their_files:
            unless_started.callback(ours.close)
            unless_started.callback(files.close)
            unless_started.callback(os.close, output)
            try:
                pid = await forks.fork(theirs, their_files, printing)
            finally:
                os.close(printing)
            child = Child(pid)
            unless_started.pop_all()
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LINE_LIMIT)
        host = cls(settings, child, reader, writer, files, permitted_until)
        printed = await _reading_end(output)
        host._tasks = [
            asyncio.create_task(host._run(on_message, on_exit), name=f"{host.id} line"),
            asyncio.create_task(host._output.read(printed), name=f"{host.id} output"),
            asyncio.create_task(host._beat(), name=f"{host.id} heartbeat"),
        ]
        return host

    @property
    def pid(self) -> int:
        """The operating system's process id."""
        return self._child.pid

    def info(self) -> HostInfo:
        """What the pool may know of this host."""
        return HostInfo(
            id=self.id,
            pid=self.pid,
            kind=self.kind,
            sessions=len(self.sessions),
            rss_bytes=self.rss_bytes,
            threads=self.threads,
            started_at=self.started_at,
        )

    def started(self) -> HostStarted:
        """The event that announces this host."""
        return HostStarted(self.id, self.pid)

    def send(self, command: Command) -> None:
        """Write a command; one for a host that has just died is dropped, its end is reported anyway.

        Raises EngineError when a command's file cannot be handed over.
        """
        if self._writer.is_closing():
            return
        if isinstance(command, SendMedia):
            try:
                file_passing.send_file(self._files, command.data)
            except OSError as error:
                raise EngineError(f"The host takes no file: {error.strerror}.") from error
        self._writer.write(encode(command))

    async def kill(self, reason: str) -> None:
        """End the process now and return when it is gone and reported."""
        self.expect_exit(reason)
        self._child.kill()
        await self.ended.wait()

    def expect_exit(self, reason: str) -> None:
        """Name the reason of an end that was asked for."""
        self._reason = self._reason or reason

    def was_expected(self) -> bool:
        """Whether this side has asked for the end, or named its cause."""
        return self._reason is not None

    async def _run(self, on_message: OnMessage, on_exit: OnExit) -> None:
        try:
            await self._read_line(on_message)
        except asyncio.CancelledError:
            self.expect_exit("its supervisor was cancelled")
            raise
        finally:
            self._child.kill()  # Without its line a host is of no use.
            code = await self._child.wait()
            self._writer.close()
            self._files.close()
            # What it printed last explains an unexpected end; the pipe ends with the process.
            await asyncio.wait({self._tasks[1]}, timeout=1)
            for task in self._tasks[1:]:
                task.cancel()
            await on_exit(self, HostExited(self.id, self.pid, sorted(self.sessions), self._why(code)))
            self.ended.set()

    async def _read_line(self, on_message: OnMessage) -> None:
        while True:
            try:
                line = await self._reader.readline()
            except (OSError, ValueError):
                return
            if not line:
                return
            try:
                message = decode(line)
            except ProtocolError as error:
                self.expect_exit(f"it broke the protocol: {error}")
                return
            if isinstance(message, Pong):
                self._handle_pong(message)
                continue
            self._idle.clear()
            await on_message(self, message)
            self._idle.set()

    def _handle_pong(self, pong: Pong) -> None:
        self.rss_bytes, self.threads = pong.rss_bytes, pong.threads
        if pong.nonce == self._nonce:
            self._pongs.set()

    async def _beat(self) -> None:
        while True:
            self._nonce += 1
            self._pongs.clear()
            self.send(Ping(self._nonce, self._good_until()))
            if not await self._pong_arrives():
                self.expect_exit("no heartbeat")
                self._child.kill()
                return
            await asyncio.sleep(self._settings.ping_interval)

    def _good_until(self) -> float:
        """What the host's next ping permits; one without sessions holds nothing that could harm."""
        silent = time.monotonic() + self._settings.silence
        return min(silent, self._permitted_until()) if self.sessions else silent

    async def _pong_arrives(self) -> bool:
        """Whether the host answers in time. While our own reader waits for the pool, an answer may lie
        unread in the line: that time does not count."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.ping_timeout):
                    await self._pongs.wait()
                return True
            if self._idle.is_set():
                return False
            await self._idle.wait()

    def _why(self, code: int) -> str:
        if self._reason is not None:
            return self._reason
        last = self._output.cause()
        logger.error("%s (pid %s) ended by itself with code %s: %s", self.id, self.pid, code, last)
        how = f"signal {-code}" if code < 0 else f"code {code}"
        return f"{how}: {last}" if last else how


async def _reading_end(descriptor: int) -> asyncio.StreamReader:
    """A stream of what is written into a pipe."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb"))
    return reader
