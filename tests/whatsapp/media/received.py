"""Files of clients for tests: at the simulated WhatsApp, and kept ones."""

import asyncio
import base64
import time
import uuid

from config.shared.database import in_thread
from tests.whatsapp.pools import PATIENCE, Running
from whatsapp.engine.events import Incoming, Location, MediaReference
from whatsapp.media import files, incoming
from whatsapp.messages import inbox
from whatsapp.models import MediaFile, Message, Session

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
PHONE = "79161234567"


def reference(
    *, kind: str = "image", mime: str = "image/jpeg", name: str = "", size: int = 0
) -> MediaReference:
    """What a message says of its file."""
    digest = base64.b64encode(bytes(32)).decode()
    return MediaReference(
        kind=kind, mime=mime, name=name, size=size, path=f"/v/{uuid.uuid4().hex}", key=digest,
        sha256=digest, sealed_sha256=digest,
    )  # fmt: skip


def message_with(
    session: Session,
    media: MediaReference | None = None,
    *,
    location: Location | None = None,
    text: str | None = None,
) -> Incoming:
    """A client's message, as an engine reports it."""
    return Incoming(
        str(session.pk), f"3A{uuid.uuid4().hex}", PHONE, None, text, media["kind"] if media else "location",
        time.time(), media=media, location=location,
    )  # fmt: skip


def send(running: Running, session: Session, content: bytes, **about: str) -> Incoming:
    """A client sends a file to the session of a running pool."""
    named = reference(size=len(content), **about)
    running.engine.files[named["path"]] = content
    event = message_with(session, named)
    running.engine._event_queue.put(event)
    return event


def kept(session: Session, content: bytes = JPEG, **about: str) -> Message:
    """A client's message whose file is kept."""
    event = message_with(session, reference(size=len(content), **about))
    inbox.record_incoming(event)
    message = Message.objects.select_related("media").get(wa_message_id=event.wa_message_id)
    assert message.media is not None
    row = incoming.claim(message.media.pk)
    assert row is not None
    incoming.keep(row, content)
    message.media.refresh_from_db()
    assert files.read(message.media) == content
    return message


async def until_file(event: Incoming, *states: str) -> MediaFile:
    """Return the row of the message's file as soon as it is in one of the states."""
    deadline = time.monotonic() + PATIENCE
    while True:
        row = await in_thread(MediaFile.objects.filter(messages__wa_message_id=event.wa_message_id).first)
        if row is not None and row.state in states:
            return row
        assert time.monotonic() < deadline, row and (row.state, row.last_error)
        await asyncio.sleep(0.02)
