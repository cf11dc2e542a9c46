"""The host processes of one engine: which run, which has room, which is due to be replaced."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from whatsapp.engine import RECYCLED, EngineError, EngineSettings, HostInfo
from whatsapp.engine.commands import Shutdown
from whatsapp.engine.events import HostExited, HostStarted
from whatsapp.engine.protocol import Message
from whatsapp.engine.proxy import host_of
from whatsapp.engine.supervisor.fork_server import ForkServer
from whatsapp.engine.supervisor.process import HostProcess

logger = logging.getLogger("whatsapp.engine")

# A host that dies younger than this is not replaced at once: its library may be broken.
YOUNG = 10.0
RESPAWN_DELAYS = (1.0, 5.0, 15.0, 60.0)


class Fleet:
    """Spawns hosts and gives them out. A pairing attempt gets a host of its own, because the library
    cannot end one that waits for a scan; linked sessions share shards. Hosts are forked from one
    process that has imported the library; spare ones have been forked already."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        on_message: Callable[[HostProcess, Message], Awaitable[None]],
        on_exit: Callable[[HostProcess, HostExited], Awaitable[None]],
        on_start: Callable[[HostStarted], None],
    ) -> None:
        self._settings = settings
        self._on_message = on_message
        self._on_exit = on_exit
        self._on_start = on_start
        self._forks = ForkServer(settings)
        self._hosts: dict[str, HostProcess] = {}
        self._choosing = asyncio.Lock()
        self._young_deaths = 0
        self._closing = False
        self._proxy = host_of(settings.proxy_url) if settings.proxy_url else ""
        self._proxy_works: bool | None = None
        self.permitted_until = math.inf  # monotonic; hosts with sessions end then

    def infos(self) -> list[HostInfo]:
        """The hosts that run now; may be called from any thread."""
        infos = [host.info() for host in list(self._hosts.values())]
        return [replace(info, proxy=self._proxy, proxy_works=self._proxy_works) for info in infos]

    def note_connection(self, *, succeeded: bool) -> None:
        """Remember how the last attempt to reach WhatsApp through the proxy ended."""
        if self._proxy:
            self._proxy_works = succeeded

    async def acquire(self, session: str, *, pairing: bool) -> HostProcess:
        """A host for the session, with the session already counted in. Raises EngineError when no
        process can be started."""
        async with self._choosing:
            host = None if pairing else self._shard_with_room()
            if host is None:
                host = self._spare() or await self._spawn()
                host.kind = "pairing" if pairing else "shard"
            host.sessions.add(session)
            host.starts += 1
            return host

    async def fill_spares(self) -> None:
        """Start the spare hosts that are missing; slower after hosts that died young."""
        if self._young_deaths:
            delay = RESPAWN_DELAYS[min(self._young_deaths, len(RESPAWN_DELAYS)) - 1]
            await asyncio.sleep(delay)
        async with self._choosing:
            while not self._closing and self._count_spares() < self._settings.spare_hosts:
                await self._spawn()

    def retiring(self) -> list[HostProcess]:
        """Shards that are too old, too big or have started too much: the library leaks descriptors of
        stopped sessions, and only a new process gives them back."""
        for host in self._hosts.values():
            if host.kind == "shard" and not host.retiring:
                age = time.time() - host.started_at
                host.retiring = (
                    age > self._settings.host_max_age
                    or host.rss_bytes > self._settings.host_max_rss
                    or host.starts >= self._settings.host_max_starts
                )
        return [host for host in self._hosts.values() if host.retiring]

    async def close_idle(self) -> None:
        """End shards without sessions: the retiring ones, and all but one of the others."""
        async with self._choosing:
            idle = [host for host in self._hosts.values() if host.kind == "shard" and not host.sessions]
            kept = next((host for host in idle if not host.retiring), None)
            for host in idle:
                if host is not kept:
                    host.expect_exit(RECYCLED if host.retiring else "idle")
                    host.retiring = True
                    host.send(Shutdown())

    async def close(self) -> None:
        """End every host: those without linked sessions at once, shards gracefully within
        `close_timeout`, then by force."""
        self._closing = True
        async with self._choosing:
            hosts = list(self._hosts.values())
        for host in hosts:
            host.expect_exit("closed")
            if host.kind == "shard":
                host.send(Shutdown())
        await asyncio.gather(*(host.kill("closed") for host in hosts if host.kind != "shard"))
        endings = [asyncio.create_task(host.ended.wait()) for host in hosts]
        if endings:
            await asyncio.wait(endings, timeout=self._settings.close_timeout)
        await asyncio.gather(*(host.kill("closed") for host in hosts))
        await self._forks.close()

    def _shard_with_room(self) -> HostProcess | None:
        shards = [
            host
            for host in self._hosts.values()
            if host.kind == "shard" and not host.retiring and len(host.sessions) < self._settings.shard_size
        ]
        # The fullest first: the others can empty themselves and end.
        return max(shards, key=lambda host: len(host.sessions), default=None)

    def _spare(self) -> HostProcess | None:
        return next((host for host in self._hosts.values() if host.kind == "spare"), None)

    def _count_spares(self) -> int:
        return sum(host.kind == "spare" for host in self._hosts.values())

    async def _spawn(self) -> HostProcess:
        if self._closing:
            raise EngineError("The engine is closing.")
        try:
            host = await HostProcess.spawn(
                self._settings, self._forks, self._on_message, self._gone, lambda: self.permitted_until
            )
        except OSError as error:
            raise EngineError(f"No engine host could be started: {error.strerror}.") from error
        self._hosts[host.id] = host
        self._on_start(host.started())
        return host

    async def _gone(self, host: HostProcess, event: HostExited) -> None:
        self._hosts.pop(host.id, None)
        if not host.was_expected():
            young = time.time() - host.started_at < YOUNG
            self._young_deaths = self._young_deaths + 1 if young else 0
        await self._on_exit(host, event)
