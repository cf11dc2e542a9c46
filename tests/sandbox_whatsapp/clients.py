"""Starting real clients as child processes and waiting for what they say."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from sandbox.whatsapp import SandboxWhatsApp

CLIENT = Path(__file__).with_name("client.py")
PATIENCE = 60.0


class Client:
    """One child process with neonize; its events are kept, so that none is missed between two waits."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.events: list[dict[str, Any]] = []
        self.unread: list[dict[str, Any]] = []
        self.arrived = asyncio.Condition()

    async def start(self, sandbox: SandboxWhatsApp) -> "Client":
        ours, theirs = socket.socketpair()
        environment = dict(os.environ, HTTPS_PROXY=sandbox.proxy_url, SSL_CERT_FILE=sandbox.ca_file)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, str(CLIENT), str(theirs.fileno()), sandbox.noise_root, str(self.store),
            pass_fds=[theirs.fileno()], env=environment, cwd=self.store.parent,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
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
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        self.writer.close()
        await self.pump


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
