"""The stream of events to the pool."""

from __future__ import annotations

import asyncio

import pytest

from whatsapp.engine.event_queue import EventQueue
from whatsapp.engine.events import Stopped


async def test_events_come_in_order_and_end_with_the_queue() -> None:
    event_queue = EventQueue(10)
    for name in ("a", "b"):
        event_queue.put(Stopped(name))
    event_queue.close()
    assert [event async for event in event_queue.events()] == [Stopped("a"), Stopped("b")]


async def test_a_full_queue_makes_the_hosts_wait_until_the_consumer_has_caught_up() -> None:
    event_queue = EventQueue(2)
    event_queue.put(Stopped("a"))
    await asyncio.wait_for(event_queue.room(), 60)
    event_queue.put(Stopped("b"))
    waiting = asyncio.create_task(event_queue.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    events = event_queue.events()
    await anext(events)
    await asyncio.wait_for(waiting, 60)


async def test_a_failure_inside_the_engine_reaches_the_consumer_after_the_events() -> None:
    event_queue = EventQueue(10)
    event_queue.put(Stopped("a"))
    event_queue.fail(RuntimeError("defect"))
    events = event_queue.events()
    assert await anext(events) == Stopped("a")
    with pytest.raises(RuntimeError, match="defect"):
        await anext(events)


async def test_drained_waits_until_the_consumer_has_handled_what_is_there() -> None:
    event_queue = EventQueue(10)
    await event_queue.drained()
    event_queue.put(Stopped("a"))
    draining = asyncio.create_task(event_queue.drained())
    events = event_queue.events()
    await anext(events)
    await asyncio.sleep(0)
    assert not draining.done()  # taken, and in the consumer's hands
    event_queue.put(Stopped("b"))
    await anext(events)
    await asyncio.wait_for(draining, 60)
    event_queue.close()
