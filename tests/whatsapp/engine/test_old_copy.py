"""A session that goes on from a copy of its keys that is some messages old, as when a machine was lost."""

from __future__ import annotations

import sqlite3
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

from whatsapp.engine.events import Connected, Incoming, Receipt, Sent, Stopped

from .engines import CLIENT, RealHarness

ONE = str(uuid.UUID(int=1))


def copy_of(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(":memory:")) as target:
        source.backup(target)
        return target.serialize()


async def delivered(harness: RealHarness, text: str) -> None:
    """Send, and wait until the client's phone says that it has it."""
    await harness.engine.send(ONE, text, CLIENT, text)
    sent = await harness.recorder.next(Sent, ONE)
    while sent.wa_message_id not in (await harness.recorder.next(Receipt, ONE)).message_ids:
        continue


async def answered(harness: RealHarness, text: str) -> None:
    """The client writes, and the session reads it."""
    await harness.write(ONE, text)
    while (await harness.recorder.next(Incoming, ONE)).text != text:
        continue


async def go_on_from(harness: RealHarness, store: bytes) -> None:
    """What a takeover by another machine is for the library: the same device, older keys."""
    await harness.engine.stop(ONE)
    await harness.recorder.next(Stopped, ONE)
    harness.store(ONE).write_bytes(store)
    await harness.engine.start(ONE, harness.store(ONE), pairing=False)
    await harness.recorder.next(Connected, ONE)


def kinds(harness: RealHarness) -> Counter[str]:
    return Counter(event["kind"] for event in harness.sandbox.journal())


async def test_both_sides_go_on_after_messages_that_the_copy_does_not_know(real: RealHarness) -> None:
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


async def test_a_copy_from_before_the_first_message_is_good_enough(real: RealHarness) -> None:
    await real.link(ONE)
    old = copy_of(real.store(ONE))
    await delivered(real, "lost 1")
    await answered(real, "lost 2")
    await go_on_from(real, old)
    await answered(real, "after 1")
    await delivered(real, "after 2")
    real.expect_texts("lost 1", "after 2")
    assert kinds(real)["retry"] == 1
