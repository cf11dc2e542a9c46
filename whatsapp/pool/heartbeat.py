"""The pool's own row: that it lives, what it holds, and what its engine hosts cost."""

import asyncio
import os
from collections.abc import Sized
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import structlog
from django.db import DatabaseError
from django.utils import timezone

from config.shared.database import in_thread
from whatsapp.engine import Engine
from whatsapp.models import Pool

log = structlog.get_logger("pool")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
RETRY = 1.0  # seconds
FORGOTTEN_AFTER = timedelta(days=1)  # without a heartbeat


class Heartbeat:
    """Writes the row of one pool every `interval` seconds."""

    def __init__(self, *, name: str, capacity: int, interval: float, engine: Engine, sessions: Sized) -> None:
        self._name = name
        self._capacity = capacity
        self._interval = interval
        self._engine = engine
        self._sessions = sessions

    async def wait_for_database(self, stop: asyncio.Event) -> None:
        """Return after the first heartbeat, or at `stop`: a pool may come up before the database."""
        while not stop.is_set():
            if await self._write():
                return
            await asyncio.sleep(RETRY)

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            await self._write()
            await asyncio.sleep(self._interval)

    async def _write(self) -> bool:
        try:
            await in_thread(self._update)
        except DatabaseError as error:
            log.warning("database unavailable", task="heartbeat", error=str(error).partition("\n")[0])
            return False
        return True

    def _update(self) -> None:
        hosts = self._engine.hosts()
        now = timezone.now()
        Pool.objects.update_or_create(
            name=self._name,
            defaults={
                "heartbeat_at": now,
                "capacity": self._capacity,
                "sessions": len(self._sessions),
                "hosts": len(hosts),
                "rss_bytes": sum(host.rss_bytes for host in hosts),
                "own_rss_bytes": own_rss_bytes(),
                "engine_hosts": [asdict(host) for host in hosts],
            },
        )
        Pool.objects.filter(heartbeat_at__lt=now - FORGOTTEN_AFTER).delete()


def own_rss_bytes() -> int:
    """The memory that this process holds; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_SIZE
    except OSError:
        return 0
