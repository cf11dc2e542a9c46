"""Starts the product's commands by forking, see tests/fork_server.py, as subprocess would by executing.

process = fork([sys.executable, "manage.py", "run_worker"], environment={...}, stdout=log)
done = run_forked([sys.executable, "manage.py", "check"], environment={...})
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from tests.environment import ROOT

SERVER = Path(__file__).with_name("fork_server.py")
_servers: dict[int, ForkServer] = {}


def start_on_line(
    command: Callable[[int], list[str]], **options: Any
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Starts a process that takes requests on a line, and our end of that. `command` is given the number of
    the process's end; `options` are subprocess.Popen's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            command(theirs.fileno()),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )
    return ours, process


class ForkServerError(Exception):
    """The fork server has ended; its words are in the output of the tests."""


class ForkServer:
    """The process and the line to it; ends when this process does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, self._process = start_on_line(
            lambda line: [sys.executable, str(SERVER), str(line)], cwd=ROOT
        )
        atexit.register(self.close)

    def start(self, request: Mapping[str, object], descriptors: list[int]) -> tuple[int, int]:
        """The number and a pidfd of a new process."""
        with self._lock:
            socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
            answer, pidfds, _flags, _address = socket.recv_fds(self._control, 16, 1)
        if not answer:
            raise ForkServerError(f"it ended with code {self._process.wait()}")
        os.set_inheritable(pidfds[0], False)
        return int(answer), pidfds[0]

    def exit_code(self, pid: int) -> int:
        """Of a process that has ended; its number is free from now on."""
        with self._lock:
            self._control.send(json.dumps({"ended": pid}).encode())
            return int(self._control.recv(16))

    def close(self) -> None:
        """Ends it; what it has forked goes on."""
        self._control.close()
        self._process.wait()


class ForkedProcess:
    """A process as subprocess.Popen shows it: `pid`, `returncode`, `poll`, `wait`, `send_signal`, `kill`."""

    def __init__(self, server: ForkServer, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server, self._pidfd = server, pidfd

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; subprocess.TimeoutExpired when it runs longer than `timeout` seconds."""
        code = self._ended_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def _ended_within(self, seconds: float | None) -> int | None:
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            if poll.poll(None if seconds is None else seconds * 1000):
                self.returncode = self._server.exit_code(self.pid)
                os.close(self._pidfd)
        return self.returncode

    def send_signal(self, how: signal.Signals) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, how)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fork(
    command: list[str],
    *,
    environment: Mapping[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes] | None = None,
    folder: Path = ROOT,
) -> ForkedProcess:
    """Starts a Python command in a session of its own, without input; errors go to `stdout` by default."""
    server = _servers.get(os.getpid())
    if server is None:
        server = _servers[os.getpid()] = ForkServer()
    request = {
        "arguments": _python_arguments(command),
        "environment": dict(environment),
        "folder": str(folder),
    }
    with Path(os.devnull).open("rb") as nothing:
        pid, pidfd = server.start(request, [file.fileno() for file in (nothing, stdout, stderr or stdout)])
    return ForkedProcess(server, pid, pidfd)


def run_forked(
    command: list[str], *, environment: Mapping[str, str], seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Runs a Python command to its end, what it prints is captured; subprocess.TimeoutExpired when it takes
    longer."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = fork(command, environment=environment, stdout=stdout, stderr=stderr)
        try:
            code = process.wait(seconds)
        except BaseException:
            process.kill()
            process.wait()
            raise
        said = []
        for file in (stdout, stderr):
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
        return subprocess.CompletedProcess(command, code, *said)


def _python_arguments(command: list[str]) -> list[str]:
    """What follows `python`; a command beside this Python, as daphne, is a script."""
    if Path(command[0]) == Path(sys.executable):
        return command[1:]
    if Path(command[0]).parent == Path(sys.executable).parent:
        return command
    raise ValueError(f"not run by this Python: {command[0]}")
