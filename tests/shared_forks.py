"""One fork server for the engines of all tests of this process: the imports cost more than most tests.

It is the product's own, started by the product's own command, once for each set of settings."""

from __future__ import annotations

import ctypes
import socket
import subprocess
import threading

from tests.forked_processes import start_on_line
from whatsapp.engine import EngineSettings
from whatsapp.engine.supervisor.fork_server import PR_SET_CHILD_SUBREAPER, ForkServer
from whatsapp.engine.supervisor.launch import PACKAGE_ROOT, fork_server_command, host_environment

_servers: dict[tuple[str, ...], socket.socket] = {}
_asking = threading.Lock()


class SharedForkServer(ForkServer):
    """Asks the running one for hosts; it ends with this process."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        assert settings.held_open is None, "inherited once, by all hosts"

    async def fork(self, line: socket.socket, files: socket.socket, output: int) -> int:
        """As the product's, but for the waiting: an answer takes milliseconds."""
        with _asking:
            control = _running(self._settings)
            socket.send_fds(control, [b"host"], [line.fileno(), files.fileno(), output])
            return int(control.recv(16))

    async def close(self) -> None:
        """Others go on with it."""


def _running(settings: EngineSettings) -> socket.socket:
    environment = host_environment(settings)
    key = (
        *fork_server_command(settings, 0),
        *(f"{name}={environment[name]}" for name in sorted(environment)),
    )
    if key not in _servers:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        ours, _process = start_on_line(
            lambda line: fork_server_command(settings, line),
            env=environment,
            cwd=PACKAGE_ROOT,
            stdout=subprocess.DEVNULL,
        )
        ours.settimeout(60)
        _servers[key] = ours
    return _servers[key]
