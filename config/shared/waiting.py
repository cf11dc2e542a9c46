"""Waiting with a limit."""

import asyncio
import contextlib


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set, or after so many seconds.

    Not `asyncio.wait_for`: before Python 3.12 it loses a cancellation that comes together with the event, and
    with it a lost lease.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
