"""A host whose supervisor is paused or has lost its right: the line stays open, but it must end."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from whatsapp.engine import EngineSettings, file_passing
from whatsapp.engine.commands import Ping
from whatsapp.engine.protocol import encode
from whatsapp.engine.supervisor.child import Child
from whatsapp.engine.supervisor.fork_server import ForkServer

SILENCE = 2.0  # seconds


@dataclass
class RunningHost:
    line: socket.socket  # our end
    printed: int
    ended: "asyncio.Task[int]"


@asynccontextmanager
async def running_host() -> AsyncIterator[RunningHost]:
    """A host that nobody pings by itself."""
    forks = ForkServer(EngineSettings(silence=SILENCE))
    ours, theirs = socket.socketpair()
    files, their_files = file_passing.channel()
    printed, printing = os.pipe()
    with ours, files:
        ours.setblocking(False)
        with theirs, their_files:
            child = Child(await forks.fork(theirs, their_files, printing))
        os.close(printing)
        ended = asyncio.create_task(child.wait())
        try:
            yield RunningHost(ours, printed, ended)
        finally:
            child.kill()
            await ended
            os.close(printed)
            await forks.close()


async def test_a_host_that_hears_nothing_ends_itself() -> None:
    """Its pool's leases run out meanwhile, and another pool may link the sessions."""
    async with running_host() as host, asyncio.timeout(60):
        assert await host.ended == 1
        assert b"not permitted to go on" in os.read(host.printed, 10_000)


async def test_a_host_that_is_pinged_and_asked_nothing_goes_on() -> None:
    async with running_host() as host, asyncio.timeout(60):
        host.line.send(encode(Ping(1, time.monotonic() + 120)))
        assert await asyncio.get_running_loop().sock_recv(host.line, 1000)
        done, _ = await asyncio.wait({host.ended}, timeout=2 * SILENCE)
        assert not done


async def test_a_host_ends_at_the_moment_that_the_last_ping_named() -> None:
    async with running_host() as host, asyncio.timeout(60):
        host.line.send(encode(Ping(1, time.monotonic() + 120)))
        host.line.send(encode(Ping(2, time.monotonic() + 0.1)))
        assert await host.ended == 1
