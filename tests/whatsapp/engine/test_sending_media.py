"""Pictures and documents of the salon: what every engine promises."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from typing import Any

import pytest

from whatsapp.engine import EngineError
from whatsapp.engine.commands import SendMedia
from whatsapp.engine.events import Receipt, SendFailed, Sent
from whatsapp.engine.outgoing_media import MAX_MEDIA_BYTES

from .engines import CLIENT, AnyHarness, ReceivedFile

SESSION = str(uuid.UUID(int=1))
JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 40
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
PICTURE = SendMedia(SESSION, "7.1", CLIENT, "image", "image/jpeg", "", "Ждём вас @79991112233", JPEG)
DOCUMENT = SendMedia(
    SESSION, "8.1", CLIENT, "document", "application/pdf", "Цены.pdf", "Our prices", b"%PDF-1.7"
)


def received(message: SendMedia) -> ReceivedFile:
    """The message as the client's phone has it."""
    digest = hashlib.sha256(message.data).hexdigest()
    return ReceivedFile(message.kind, message.mime, message.file_name, message.caption, digest)


@pytest.mark.parametrize(
    "message",
    [
        PICTURE,
        replace(PICTURE, mime="image/png", data=PNG, caption=""),
        DOCUMENT,
        replace(DOCUMENT, caption="", data=b"\0"),
    ],
    ids=["jpeg", "png", "document", "document without words"],
)
async def test_a_file_is_sent_delivered_and_read(harness: AnyHarness, message: SendMedia) -> None:
    if hasattr(harness, "simulated"):
        harness.simulated.script.auto_deliver = True
    await harness.linked(SESSION)
    await harness.engine.send_media(message)
    sent = await harness.recorder.next(Sent, SESSION)
    assert sent.ref == message.ref
    delivered = await harness.recorder.next(Receipt, SESSION)
    assert (delivered.kind, delivered.message_ids) == ("delivered", [sent.wa_message_id])
    await harness.open_chat(SESSION)
    read = await harness.recorder.next(Receipt, SESSION)
    assert (read.kind, read.message_ids) == ("read", [sent.wa_message_id])
    assert harness.received_files() == [received(message)]


async def test_the_largest_file_arrives_whole(harness: AnyHarness) -> None:
    message = replace(DOCUMENT, data=bytes(range(256)) * (MAX_MEDIA_BYTES // 256))
    await harness.linked(SESSION)
    await harness.engine.send_media(message)
    await harness.recorder.next(Sent, SESSION)
    assert harness.received_files() == [received(message)]


UNSENDABLE: list[tuple[str, dict[str, Any]]] = [
    ("too_large", {"data": JPEG + bytes(MAX_MEDIA_BYTES)}),
    ("unsupported", {"data": b""}),
    ("unsupported", {"data": PNG}),
    ("unsupported", {"mime": "image/webp"}),
    ("unsupported", {"kind": "sticker"}),
    ("unsupported", {"kind": "document", "mime": "pdf"}),
    ("unsupported", {"kind": "document", "mime": "a/b\r\nc"}),
    ("unsupported", {"kind": "document", "file_name": "a\nb"}),
    ("unsupported", {"kind": "document", "file_name": "a" * 256}),
]


async def test_what_no_phone_could_show_is_refused_for_good(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    for word, changes in UNSENDABLE:
        await harness.engine.send_media(replace(PICTURE, **changes))
        failure = await harness.recorder.next(SendFailed, SESSION)
        assert (failure.ref, failure.permanent) == (PICTURE.ref, True)
        assert failure.error.startswith(f"{word}: "), changes
    await harness.engine.send(SESSION, "9.1", CLIENT, "and words still go")
    assert (await harness.recorder.next(Sent, SESSION)).ref == "9.1"
    assert harness.received_files() == []


async def test_a_file_that_was_acknowledged_is_not_sent_again(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.engine.send_media(PICTURE)
    first = await harness.recorder.next(Sent, SESSION)
    await harness.engine.send_media(PICTURE)
    assert await harness.recorder.next(Sent, SESSION) == first
    assert harness.received_files() == [received(PICTURE)]


async def test_a_session_that_is_not_held_sends_no_files(harness: AnyHarness) -> None:
    with pytest.raises(EngineError):
        await harness.engine.send_media(PICTURE)


def test_a_file_and_its_words_are_not_shown_in_logs() -> None:
    assert not any(part in repr(DOCUMENT) for part in (CLIENT, "Цены", "prices", "PDF-1.7"))
