"""A pool on the simulated engine, and waiting for what it makes of a session."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone

from config.shared.database import in_thread
from whatsapp.engine.simulated import SimulatedEngine
from whatsapp.models import Session, SessionEvent
from whatsapp.pool.pool import PoolSettings, SessionPool
from whatsapp.sessions import services

PATIENCE = 60.0  # seconds, for a condition on a machine that is busy


@dataclass
class Running:
    """A pool that runs as a task of the test's loop."""

    pool: SessionPool
    engine: SimulatedEngine
    task: "asyncio.Task[None]"
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def end(self) -> None:
        """Stop it politely."""
        self.stop.set()
        await self.task

    async def crash(self) -> None:
        """End it as `kill -9` would: nothing is written, no lease is given back."""
        for runner in self.pool._tasks.values():
            runner.cancel()
        self.task.cancel()
        await asyncio.gather(self.task, *self.pool._tasks.values(), return_exceptions=True)
        for task in list(self.pool.writer._tasks):
            task.cancel()


@asynccontextmanager
async def running_pool(
    *,
    pace: float = 0.05,
    lease: float = 30.0,
    pairing_lease: float = 30.0,
    capacity: int = 50,
    poll: float = 0.05,
) -> AsyncIterator[Running]:
    """Run a pool; `pace` scales the engine's times (0.05: the first code lasts 3 s). A busy machine must not
    lose leases: only tests of their end make them short."""
    engine = SimulatedEngine(pace=pace)
    pool = SessionPool(
        engine=lambda _lock: engine,
        settings=PoolSettings(
            capacity=capacity,
            lease=lease,
            pairing_lease=pairing_lease,
            poll=poll,
            heartbeat=0.5,
            start_interval=0.0,
        ),
    )
    stop = asyncio.Event()
    running = Running(pool, engine, asyncio.create_task(pool.run(stop)), stop)
    try:
        yield running
    finally:
        if not running.task.done():
            await running.end()


async def new_session() -> Session:
    """A session whose page was just opened."""
    session = await in_thread(services.create_session)
    await in_thread(services.view, session=session)
    return session


async def until(session: Session, condition: Callable[[Session], object]) -> Session:
    """Return the row as soon as `condition` holds for it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        row = await in_thread(Session.objects.get, pk=session.pk)
        if condition(row):
            return row
        assert time.monotonic() < deadline, f"still {row.status}, wanted {row.wanted}: {row.last_error}"
        await asyncio.sleep(0.02)


async def linked_session(running: Running, phone: str = "79990000001") -> Session:
    """A session that was scanned with `phone` and is connected."""
    session = await until(await new_session(), lambda row: row.qr)
    running.engine.scan(str(session.pk), phone)
    return await until(session, lambda row: row.status == Session.Status.CONNECTED)


async def end_lease(session: Session) -> None:
    """Let the time of a crashed pool's lease be over."""
    past = timezone.now() - timedelta(seconds=1)
    await in_thread(Session.objects.filter(pk=session.pk).update, lease_expires_at=past)


async def history(session: Session) -> list[str]:
    """What was noted of the session, oldest first."""
    return await in_thread(
        lambda: list(
            SessionEvent.objects.filter(session=session).order_by("id").values_list("kind", flat=True)
        )
    )
