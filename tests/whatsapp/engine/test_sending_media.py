"""Pictures and documents of the salon: what every engine promises."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whatsapp.engine import EngineError
from whatsapp.engine.commands import SendMedia
from whatsapp.engine.events import Receipt, SendFailed, Sent
from whatsapp.engine.outgoing_media import MAX_MEDIA_BYTES

from .engines import CLIENT, SimulatedHarness

SESSION = str(uuid.UUID(int=1))
JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 40
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
PICTURE = SendMedia(SESSION, "7.1", CLIENT, "image", "image/jpeg", "", "Ждём вас @79991112233", JPEG)
DOCUMENT = SendMedia(
    SESSION, "8.1", CLIENT, "document", "application/pdf", "Цены.pdf", "Our prices", b"%PDF-1.7"
)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[SimulatedHarness]:
    simulated = SimulatedHarness(tmp_path)
    yield simulated
    await simulated.close()


@pytest.mark.parametrize("message", [PICTURE, replace(PICTURE, mime="image/png", data=PNG), DOCUMENT])
async def test_a_file_is_sent_delivered_and_read(harness: SimulatedHarness, message: SendMedia) -> None:
    harness.simulated.script.auto_deliver = True
    await harness.linked(SESSION)
    await harness.engine.send_media(message)
    sent = await harness.recorder.next(Sent, SESSION)
    assert sent.ref == message.ref
    delivered = await harness.recorder.next(Receipt, SESSION)
    assert (delivered.kind, delivered.message_ids) == ("delivered", [sent.wa_message_id])
    [taken] = harness.simulated.sent
    assert taken.text == message.caption and taken.file
    assert taken.file.sha256 == hashlib.sha256(message.data).hexdigest()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"data": JPEG + bytes(MAX_MEDIA_BYTES)}, "too_large"),
        ({"data": b""}, "unsupported"),
        ({"data": PNG}, "unsupported"),
        ({"mime": "image/webp"}, "unsupported"),
        ({"kind": "sticker"}, "unsupported"),
        ({"kind": "document", "mime": "pdf"}, "unsupported"),
        ({"kind": "document", "mime": "a/b\r\nc"}, "unsupported"),
        ({"kind": "document", "file_name": "a\nb"}, "unsupported"),
        ({"kind": "document", "file_name": "a" * 256}, "unsupported"),
    ],
)
async def test_what_no_phone_could_show_is_refused_for_good(
    harness: SimulatedHarness, changes: dict[str, Any], word: str
) -> None:
    await harness.linked(SESSION)
    await harness.engine.send_media(replace(PICTURE, **changes))
    failure = await harness.recorder.next(SendFailed, SESSION)
    assert (failure.ref, failure.permanent) == (PICTURE.ref, True)
    assert failure.error.startswith(f"{word}: ")
    assert harness.simulated.sent == []


async def test_a_file_that_was_acknowledged_is_not_sent_again(harness: SimulatedHarness) -> None:
    await harness.linked(SESSION)
    await harness.engine.send_media(PICTURE)
    await harness.engine.send_media(PICTURE)
    answers = [await harness.recorder.next(Sent, SESSION) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(harness.simulated.sent) == 1


async def test_a_session_that_is_not_held_sends_no_files(harness: SimulatedHarness) -> None:
    with pytest.raises(EngineError):
        await harness.engine.send_media(PICTURE)


def test_a_file_and_its_words_are_not_shown_in_logs() -> None:
    assert not any(part in repr(DOCUMENT) for part in (CLIENT, "Цены", "prices", "PDF-1.7"))
