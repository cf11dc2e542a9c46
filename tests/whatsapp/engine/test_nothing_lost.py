"""The library confirms to WhatsApp what it hands over, and WhatsApp repeats nothing of it: what clients write
while a session is moved or stopped is received before, or after its next start."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from whatsapp.engine.events import Connected, Incoming, QrCode

from .engines import CLIENT, SALON, STRANGER, RealHarness
from .run_engine import kill, run_engine

ONE, TWO = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
PATIENCE = 60  # seconds


@asynccontextmanager
async def somebody_writes(harness: RealHarness) -> AsyncIterator[list[str]]:
    """Meanwhile a client writes to the salon all the time; the texts so far."""
    harness.sandbox.create_phone(STRANGER)
    written: list[str] = []

    async def write() -> None:
        while True:
            written.append(str(len(written)))
            harness.sandbox.send(STRANGER, to=SALON, text=written[-1])
            await asyncio.sleep(0.005)

    task = asyncio.create_task(write())
    try:
        yield written
    finally:
        task.cancel()


async def some_more(written: list[str]) -> None:
    """Return when twenty texts more are written."""
    enough = len(written) + 20
    while len(written) < enough:
        await asyncio.sleep(0.005)


async def expect_all(written: list[str], harness: RealHarness) -> None:
    """All of them arrive."""

    def missing() -> list[str]:
        heard = {event.text for event in harness.recorder.everything if isinstance(event, Incoming)}
        return [text for text in written if text not in heard]

    try:
        async with asyncio.timeout(PATIENCE):
            while missing():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"of {len(written)} these are lost: {missing()}") from None


async def test_what_clients_write_during_the_move_to_a_shard_is_received(real: RealHarness) -> None:
    await real.engine.start(ONE, real.store(ONE), pairing=True)
    await real.scan(ONE, SALON, (await real.recorder.next(QrCode, ONE)).text)
    await real.recorder.next(Connected, ONE)
    async with somebody_writes(real) as written:
        await real.recorder.next(Connected, ONE)
        await some_more(written)
    await expect_all(written, real)


async def test_what_clients_write_to_a_session_that_waits_for_its_stop_is_received(
    make: Callable[..., RealHarness],
) -> None:
    harness = make()
    await harness.linked(ONE, SALON)
    # The library starts and stops one session at a time: while WhatsApp says nothing to the other one, this
    # one cannot be stopped.
    harness.sandbox.hub.options.quiet_after_handshake = 1.0
    totals = harness.sandbox.hub.journal.totals
    handshakes = totals["handshake"]
    starting = asyncio.create_task(harness.linked(TWO, CLIENT))
    while totals["handshake"] == handshakes:
        await asyncio.sleep(0.01)
    async with somebody_writes(harness) as written:
        await harness.engine.stop(ONE)
    await starting
    await harness.engine.start(ONE, harness.store(ONE), pairing=False)
    await expect_all(written, harness)


async def test_what_clients_write_while_the_engine_is_closed_is_received_by_the_next(
    make: Callable[..., RealHarness],
) -> None:
    """All of it: the first one's pool may have been unable to write it down."""
    first, second = make(), make()
    await first.linked(ONE, SALON)
    async with somebody_writes(first) as written:
        await some_more(written)
        await first.close()
        await second.engine.start(ONE, second.store(ONE), pairing=False)
        await second.recorder.next(Connected, ONE)
        await some_more(written)
    await expect_all(written, second)


async def test_what_clients_write_to_a_session_that_is_stopped_as_soon_as_it_is_linked_is_received(
    make: Callable[..., RealHarness],
) -> None:
    harness = make(settle=30)
    await harness.engine.start(ONE, harness.store(ONE), pairing=True)
    await harness.scan(ONE, SALON, (await harness.recorder.next(QrCode, ONE)).text)
    await harness.recorder.next(Connected, ONE)
    async with somebody_writes(harness) as written:
        await some_more(written)
        await harness.engine.stop(ONE)
    await harness.engine.start(ONE, harness.store(ONE), pairing=False)
    await expect_all(written, harness)


async def test_what_clients_write_until_the_supervisor_is_killed_is_received(
    make: Callable[..., RealHarness],
) -> None:
    """Several times: what the library was just handing on decides."""
    harness = make()
    await harness.linked(ONE, SALON)
    await harness.engine.stop(ONE)
    async with somebody_writes(harness) as written:
        for _ in range(3):
            process, hosts = await run_engine(harness.sandbox, ONE, harness.store(ONE), pairing=False)
            await some_more(written)
            await kill(process, hosts)
    await harness.engine.start(ONE, harness.store(ONE), pairing=False)
    await expect_all(written, harness)
