"""A session that goes on from a copy of its keys that is some messages old, as when a machine was lost."""

from __future__ import annotations

import sqlite3
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

from whatsapp.engine.events import Connected, Incoming, Receipt, Sent, Stopped

from .engines import CLIENT, RealWorld

ONE = str(uuid.UUID(int=1))


def copy_of(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(":memory:")) as target:
        source.backup(target)
        return target.serialize()


async def delivered(world: RealWorld, text: str) -> None:
    """Send, and wait until the client's phone says that it has it."""
    await world.engine.send(ONE, text, CLIENT, text)
    sent = await world.ear.next(Sent, ONE)
    while sent.wa_message_id not in (await world.ear.next(Receipt, ONE)).message_ids:
        continue


async def answered(world: RealWorld, text: str) -> None:
    """The client writes, and the session reads it."""
    await world.write(ONE, text)
    while (await world.ear.next(Incoming, ONE)).text != text:
        continue


async def go_on_from(world: RealWorld, store: bytes) -> None:
    """What a takeover by another machine is for the library: the same device, older keys."""
    await world.engine.stop(ONE)
    await world.ear.next(Stopped, ONE)
    world.store(ONE).write_bytes(store)
    await world.engine.start(ONE, world.store(ONE), pairing=False)
    await world.ear.next(Connected, ONE)


def kinds(world: RealWorld) -> Counter[str]:
    return Counter(event["kind"] for event in world.sandbox.journal())


async def test_both_sides_go_on_after_messages_that_the_copy_does_not_know(real: RealWorld) -> None:
    """The phone cannot open the first message and asks for it once more; the library sends it again. What the
    client sees: every message once, the first one a moment later."""
    await real.link(ONE)
    await delivered(real, "before 1")
    await answered(real, "before 2")
    await delivered(real, "before 3")
    old = copy_of(real.store(ONE))
    await delivered(real, "lost 1")
    await answered(real, "lost 2")
    await delivered(real, "lost 3")
    await go_on_from(real, old)
    await delivered(real, "after 1")
    await answered(real, "after 2")
    await delivered(real, "after 3")
    real.expect_texts("before 1", "before 3", "lost 1", "lost 3", "after 1", "after 3")
    assert kinds(real)["cannot_decrypt"] >= 1


async def test_a_copy_from_before_the_first_message_is_good_enough(real: RealWorld) -> None:
    await real.link(ONE)
    old = copy_of(real.store(ONE))
    await delivered(real, "lost 1")
    await answered(real, "lost 2")
    await go_on_from(real, old)
    await answered(real, "after 1")
    await delivered(real, "after 2")
    real.expect_texts("lost 1", "after 2")
    assert kinds(real)["retry"] == 1
