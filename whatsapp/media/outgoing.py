"""Files that go to clients: stored before the message that brings them is taken, read when it is sent."""

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone

from config.shared.storable import storable
from whatsapp.engine.commands import SendMedia
from whatsapp.engine.outgoing_media import MAX_FILE_NAME, MAX_MEDIA_BYTES
from whatsapp.media import content_types, files
from whatsapp.media.files import FileUnavailable
from whatsapp.models import MediaFile

LONGEST_CAPTION = 1024  # characters, as WhatsApp's own clients take
PDF = b"%PDF-"
State = MediaFile.State


class NotAccepted(Exception):
    """The file is not taken; `code` says why: `empty`, `too_large`, `quota`, or `storage`: no answer."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def largest() -> int:
    """Bytes of a file that is taken."""
    return min(MAX_MEDIA_BYTES, int(settings.MEDIA_MAX_BYTES))


def store(*, session_id: Any, content: bytes, name: str, pinned: bool = False) -> MediaFile:
    """Put a file into the storage; return its row, which the caller saves together with what refers to it.

    Its bytes say whether it is a picture; everything else goes as a document. Raises NotAccepted, and what
    the storage raises. Bytes whose row is never saved are swept away with their day.
    """
    if not content:
        raise NotAccepted("empty")
    if len(content) > largest():
        raise NotAccepted("too_large")
    if not files.has_room(session_id, len(content)):
        raise NotAccepted("quota")
    mime = content_types.of(content)
    is_picture = mime in content_types.PICTURES
    if content.startswith(PDF):
        mime = "application/pdf"
    file = MediaFile(
        session_id=session_id,
        kind=MediaFile.Kind.IMAGE if is_picture else MediaFile.Kind.DOCUMENT,
        mime=mime,
        name=_one_line(name)[:MAX_FILE_NAME],
        size=len(content),
        state=State.KEPT,
        stored_name=files.new_name(),
        key=files.new_key(),
        kept_at=timezone.now(),
        pinned=pinned,
    )
    files.write(name=file.stored_name, key=file.key, content=content)
    return file


def store_upload(*, session_id: Any, upload: "UploadedFile[Any]", pinned: bool = False) -> MediaFile:
    """As `store`, what a form has brought; read only when it is not too large. Raises NotAccepted alone."""
    if (upload.size or 0) > largest():
        raise NotAccepted("too_large")
    try:
        return store(session_id=session_id, content=upload.read(), name=upload.name or "", pinned=pinned)
    except NotAccepted:
        raise
    except Exception as error:  # each storage has errors of its own
        raise NotAccepted("storage") from error


def command(*, session: str, ref: str, phone: str, caption: str, media_id: int) -> SendMedia:
    """What the engine is to send. Raises FileUnavailable."""
    file = MediaFile.objects.filter(pk=media_id).first()
    if file is None:
        raise FileUnavailable("the file was removed")
    is_picture = file.kind == MediaFile.Kind.IMAGE and file.mime in content_types.PICTURES
    return SendMedia(
        session=session,
        ref=ref,
        phone=phone,
        kind="image" if is_picture else "document",
        mime=file.mime,
        file_name="" if is_picture else (file.name or f"{file.kind}-{file.pk}"),
        caption=caption,
        data=files.read(file),
    )


def _one_line(name: str) -> str:
    """The last part of a name, without what no file's name holds."""
    last = storable(name).replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable()).strip()
