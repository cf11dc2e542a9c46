"""What makes a pool from the settings and runs it as a process."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import structlog
from django.conf import settings

from config.shared import collector
from whatsapp.engine import Engine, EngineSettings
from whatsapp.engine.supervisor.engine import NeonizeEngine
from whatsapp.pool.pool import PoolSettings, SessionPool

log = structlog.get_logger("process")


def make_engine(lock: int) -> Engine:
    """The engine that WHATSAPP_ENGINE names; its processes hold the descriptor `lock` open.

    Needs a running event loop.
    """
    if settings.WHATSAPP_ENGINE == "simulated":
        from whatsapp.engine.simulated import SimulatedEngine

        return SimulatedEngine()
    return NeonizeEngine(engine_settings(lock))


def engine_settings(lock: int) -> EngineSettings:
    """How the real engine runs its hosts; a test server's proxy goes before the outgoing one."""
    return EngineSettings(
        shard_size=settings.POOL_SHARD_SIZE,
        held_open=lock,
        # A paused pool had at least two thirds of its leases left when it last spoke to its hosts.
        silence=settings.POOL_LEASE_SECONDS / 2,
        ping_interval=min(5.0, settings.POOL_LEASE_SECONDS / 8),
        ping_timeout=min(10.0, settings.POOL_LEASE_SECONDS / 3),
        # What is stopped for want of a lease must have ended when the lease has.
        stop_timeout=min(8.0, settings.POOL_LEASE_SECONDS / 5),
        proxy_url=settings.WHATSAPP_PROXY_URL or settings.WHATSAPP_OUTGOING_PROXY or None,
        ca_file=settings.WHATSAPP_CA_FILE or None,
        noise_root=settings.WHATSAPP_NOISE_ROOT or None,
        sandbox=settings.WHATSAPP_SANDBOX,
    )


def make_pool() -> SessionPool:
    """A pool as the settings describe it; needs a running event loop."""
    return SessionPool(
        engine=make_engine,
        settings=PoolSettings(capacity=settings.POOL_CAPACITY, lease=settings.POOL_LEASE_SECONDS),
    )


def run_until_told(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `work(stop)` with `stop` set by the first SIGTERM or SIGINT; the second ends at once."""

    async def main() -> None:
        collector.ignore_loaded()
        stop = asyncio.Event()

        def request_stop() -> None:
            if stop.is_set():
                log.warning("second signal, ending at once")
                os._exit(1)
            stop.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, request_stop)
        await work(stop)

    asyncio.run(main())
