"""The supervisor's side of the fork server (`host.fork_server`)."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket

from whatsapp.engine import EngineSettings
from whatsapp.engine.supervisor.launch import PACKAGE_ROOT, fork_server_command, host_environment
from whatsapp.engine.supervisor.output import Output

PR_SET_CHILD_SUBREAPER = 36
ANSWER_TIMEOUT = 60.0  # seconds; the first answer comes when everything is imported
EXPLAINED_WITHIN = 1.0


class ForkServer:
    """Starts the process when a host is asked for and it does not run; one request at a time."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._control: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._output = Output("fork server")
        self._reading: asyncio.Task[None] | None = None

    async def fork(self, line: socket.socket, files: socket.socket, output: int) -> int:
        """Start a host with these ends of its line and its channel for files, and this descriptor to print
        to; its process id.

        Raises OSError when it cannot be started.
        """
        if self._process is not None and self._process.returncode is not None:
            self._discard()
        control = self._control or await self._start()
        try:
            socket.send_fds(control, [b"host"], [line.fileno(), files.fileno(), output])
            async with asyncio.timeout(ANSWER_TIMEOUT):
                answer = await asyncio.get_running_loop().sock_recv(control, 16)
        except ConnectionError:
            answer = b""
        except TimeoutError as error:
            self._discard()
            raise OSError(0, "the fork server does not answer") from error
        except BaseException:
            self._discard()  # an answer that comes later would be taken for that of the next request
            raise
        if not answer:
            raise OSError(0, await self._why_it_ended())
        if (pid := int(answer)) == 0:
            raise OSError(0, "the process could not be forked")
        return pid

    async def close(self) -> None:
        """End the process and return when it is gone; hosts that it has forked go on."""
        self._discard()
        if self._process is not None:
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    def _discard(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _start(self) -> socket.socket:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *fork_server_command(self._settings, theirs.fileno()),
                pass_fds=[fd for fd in (theirs.fileno(), self._settings.held_open) if fd is not None],
                env=host_environment(self._settings),
                cwd=PACKAGE_ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        assert self._process.stdout is not None  # noqa: S101  # it was started with a pipe
        self._output = Output("fork server")
        self._reading = asyncio.create_task(
            self._output.read(self._process.stdout), name="fork server output"
        )
        self._control = ours
        return ours

    async def _why_it_ended(self) -> str:
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=EXPLAINED_WITHIN)
        self._discard()
        return self._output.cause() or "the fork server has ended"
