"""When a page reads its rows again, whatever hints say meanwhile."""

import asyncio
import time
import uuid

import pytest

from onboarding.live import feed
from onboarding.live.feed import Feed

PATIENCE = 60


async def leave_nothing_to_read(_code: str) -> bool:
    return True


async def test_hints_that_say_everything_put_off_reading_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "POLL_NEAR", 0.2)
    monkeypatch.setattr(feed, "POLL_MOST", 1.0)
    page = Feed(uuid.uuid4(), leave_nothing_to_read)
    began = time.monotonic()
    waiting = asyncio.create_task(page.wait(3600))
    async with asyncio.timeout(PATIENCE):
        while not waiting.done():
            page._told_at = time.monotonic()  # as by a hint
            await asyncio.sleep(0.01)
    assert time.monotonic() - began >= 0.9


async def test_what_this_connection_changed_is_read_at_once() -> None:
    page = Feed(uuid.uuid4(), leave_nothing_to_read)
    page.hint()
    async with asyncio.timeout(PATIENCE):
        await page.wait(3600)
