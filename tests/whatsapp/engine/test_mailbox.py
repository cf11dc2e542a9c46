"""The stream of events to the pool."""

from __future__ import annotations

import asyncio

import pytest

from whatsapp.engine.events import Stopped
from whatsapp.engine.mailbox import Mailbox


async def test_events_come_in_order_and_end_with_the_mailbox() -> None:
    mailbox = Mailbox(10)
    for name in ("a", "b"):
        mailbox.put(Stopped(name))
    mailbox.close()
    assert [event async for event in mailbox.events()] == [Stopped("a"), Stopped("b")]


async def test_a_full_mailbox_makes_the_hosts_wait_until_the_consumer_has_caught_up() -> None:
    mailbox = Mailbox(2)
    mailbox.put(Stopped("a"))
    await asyncio.wait_for(mailbox.room(), 1)
    mailbox.put(Stopped("b"))
    waiting = asyncio.create_task(mailbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    events = mailbox.events()
    await anext(events)
    await asyncio.wait_for(waiting, 1)


async def test_a_failure_inside_the_engine_reaches_the_consumer_after_the_events() -> None:
    mailbox = Mailbox(10)
    mailbox.put(Stopped("a"))
    mailbox.fail(RuntimeError("defect"))
    events = mailbox.events()
    assert await anext(events) == Stopped("a")
    with pytest.raises(RuntimeError, match="defect"):
        await anext(events)
