"""Leases are renewed whatever else the pool's process waits for."""

import asyncio
import threading

import pytest

from config.shared import database
from config.shared.database import DedicatedThread, in_thread
from tests.whatsapp.pools import PATIENCE, linked_session, running_pool
from whatsapp.models import Session

pytestmark = pytest.mark.django_db(transaction=True)


async def test_leases_are_renewed_while_all_threads_for_database_work_are_taken() -> None:
    let_go, looking = threading.Event(), DedicatedThread("test")
    async with running_pool(lease=6.0) as running:
        session = await linked_session(running)
        taken = threading.Semaphore(0)

        def wait() -> None:
            taken.release()
            let_go.wait(PATIENCE)

        waiting = [asyncio.create_task(in_thread(wait)) for _ in range(database._threads._max_workers)]
        try:
            for _ in waiting:
                assert await asyncio.to_thread(taken.acquire, timeout=PATIENCE)
            ends: set[object] = set()
            async with asyncio.timeout(PATIENCE):
                while len(ends) < 4:  # longer than a lease
                    row = await looking.run(Session.objects.get, pk=session.pk)
                    ends.add(row.lease_expires_at)
                    await asyncio.sleep(0.05)
            assert not running.pool.runners[session.pk].context.lost
        finally:
            let_go.set()
            await asyncio.gather(*waiting)
            looking.close()
