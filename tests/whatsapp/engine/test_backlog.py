"""Waiting for what came before."""

import asyncio

from whatsapp.engine.backlog import Backlog


async def test_who_waits_does_not_wait_for_what_comes_later() -> None:
    backlog = Backlog()
    await backlog.cleared()
    backlog.add()
    backlog.add()
    first = asyncio.create_task(backlog.cleared())
    await asyncio.sleep(0)
    backlog.add()
    second = asyncio.create_task(backlog.cleared())
    await asyncio.sleep(0)
    backlog.mark_done()
    await asyncio.sleep(0)
    assert (backlog.left, first.done()) == (2, False)
    backlog.mark_done()
    await asyncio.wait_for(first, 60)
    assert (backlog.left, second.done()) == (1, False)
    backlog.mark_done()
    await asyncio.wait_for(second, 60)


async def test_one_that_gave_up_keeps_nobody_waiting() -> None:
    backlog = Backlog()
    backlog.add()
    given_up, patient = (asyncio.create_task(backlog.cleared()) for _ in range(2))
    await asyncio.sleep(0)
    given_up.cancel()
    backlog.mark_done()
    await asyncio.wait_for(patient, 60)
