"""The host processes of the simulated engine: numbers only, counted as the real fleet counts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from whatsapp.engine import HostInfo


@dataclass(eq=False)
class SimulatedHost:
    """A process that does not exist."""

    id: str
    pid: int
    kind: Literal["pairing", "shard"]
    started_at: float = field(default_factory=time.time)
    sessions: set[str] = field(default_factory=set)

    def info(self) -> HostInfo:
        """As the real host would describe itself, with typical costs."""
        rss_bytes = 70_000_000 + 1_200_000 * len(self.sessions)
        threads = 9 + 3 * len(self.sessions)
        return HostInfo(
            id=self.id,
            pid=self.pid,
            kind=self.kind,
            sessions=len(self.sessions),
            rss_bytes=rss_bytes,
            threads=threads,
            started_at=self.started_at,
        )


class SimulatedHosts:
    """Gives a pairing attempt a host of its own and puts linked sessions into shards."""

    def __init__(self, shard_size: int) -> None:
        self._shard_size = shard_size
        self._numbers = count(1)
        self.running: list[SimulatedHost] = []

    def acquire(self, session: str, *, pairing: bool) -> tuple[SimulatedHost, bool]:
        """A host with room, with the session counted in, and whether it is a new one."""
        host = None if pairing else self._shard_with_room()
        new = host is None
        if host is None:
            number = next(self._numbers)
            host = SimulatedHost(f"simulated-{number}", 100_000 + number, "pairing" if pairing else "shard")
            self.running.append(host)
        host.sessions.add(session)
        return host, new

    def leave(self, host: SimulatedHost, session: str) -> bool:
        """Count the session out; whether the host ended with it."""
        host.sessions.discard(session)
        ended = host.kind == "pairing" and host in self.running
        if ended:
            self.running.remove(host)
        return ended

    def _shard_with_room(self) -> SimulatedHost | None:
        return next(
            (h for h in self.running if h.kind == "shard" and len(h.sessions) < self._shard_size), None
        )
