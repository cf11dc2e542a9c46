"""Starting real clients as child processes and waiting for what they say."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from sandbox.whatsapp import SandboxWhatsApp
from tests.environment import ROOT
from tests.forked_processes import start_on_line

CLIENT = Path(__file__).with_name("client.py")
PATIENCE = 60.0
_servers: dict[tuple[str, str], socket.socket] = {}


def _fork(sandbox: SandboxWhatsApp, store: Path, line: socket.socket) -> int:
    """A pidfd of a new client that speaks on this line."""
    request = json.dumps({"root": sandbox.noise_root, "store": str(store)}).encode()
    server = _server(sandbox.proxy_url, sandbox.ca_file)
    socket.send_fds(server, [request], [line.fileno()])
    _answer, pidfds, _flags, _address = socket.recv_fds(server, 16, 1)
    return pidfds[0]


def _server(proxy_url: str, ca_file: str) -> socket.socket:
    """The line to the process that forks clients of this server; it ends with this process."""
    if (proxy_url, ca_file) not in _servers:
        environment = {"HTTPS_PROXY": proxy_url, "SSL_CERT_FILE": ca_file, "PYTHONPATH": str(ROOT)}
        ours, _process = start_on_line(
            lambda line: [sys.executable, str(CLIENT), str(line)],
            env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        ours.settimeout(PATIENCE)
        _servers[proxy_url, ca_file] = ours
    return _servers[proxy_url, ca_file]


class Client:
    """One child process with neonize; its events are kept, so that none is missed between two waits."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.events: list[dict[str, Any]] = []
        self.unread: list[dict[str, Any]] = []
        self.arrived = asyncio.Condition()
        self.pidfd: int | None = None

    async def start(self, sandbox: SandboxWhatsApp) -> "Client":
        ours, theirs = socket.socketpair()
        with theirs:
            self.pidfd = _fork(sandbox, self.store, theirs)
        reader, self.writer = await asyncio.open_connection(sock=ours)
        self.pump = asyncio.create_task(self._read(reader))
        return self

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            async with self.arrived:
                self.events.append(json.loads(line))
                self.unread.append(self.events[-1])
                self.arrived.notify_all()

    def do(self, order: str, **more: object) -> None:
        self.writer.write((json.dumps({"do": order} | more) + "\n").encode())

    async def wait(self, event: str, **wanted: object) -> dict[str, Any]:
        """The oldest event of that name with those fields that no wait has taken.

        Not the next one: the client's threads race, a receipt can be told before the send that it is for.
        """

        def fits(found: dict[str, Any]) -> bool:
            return all(found.get(key) == value for key, value in ({"event": event} | wanted).items())

        async def find() -> dict[str, Any]:
            async with self.arrived:
                while True:
                    for found in self.unread:
                        if fits(found):
                            self.unread.remove(found)
                            return found
                    await self.arrived.wait()

        try:
            return await asyncio.wait_for(find(), PATIENCE)
        except TimeoutError as error:
            raise AssertionError(f"no {event} {wanted} among {self.unread}") from error

    def names(self) -> list[str]:
        return [event["event"] for event in self.events]

    async def kill(self) -> None:
        """End the process, if that has not been done."""
        if self.pidfd is None:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.close(self.pidfd)
        self.pidfd = None
        await self.pump  # its end of the line is closed when it is gone
        self.writer.close()


async def until(sandbox: SandboxWhatsApp, kind: str, **wanted: object) -> dict[str, Any]:
    """The first event in the server's journal of that kind with those fields."""

    async def find() -> dict[str, Any]:
        while True:
            for event in sandbox.journal():
                if event["kind"] == kind and all(event.get(key) == value for key, value in wanted.items()):
                    return event
            await asyncio.sleep(0.02)

    try:
        return await asyncio.wait_for(find(), PATIENCE)
    except TimeoutError as error:
        raise AssertionError(f"no {kind} {wanted} in {sandbox.journal()}") from error
