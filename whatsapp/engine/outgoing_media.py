"""What a picture or document must be to be sent. Both engines refuse the same, before any upload."""

from __future__ import annotations

import re

from whatsapp.engine.commands import SendMedia
from whatsapp.engine.events import SendFailed

# WhatsApp's help names 16 MB for pictures and 2 GB for documents; a file is in memory several times while it
# is encrypted, so documents get no more than pictures.
MAX_MEDIA_BYTES = 16 * 1024 * 1024
# What a picture of each type begins with. Phones show other types as broken, or not at all.
PICTURES = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}
MAX_FILE_NAME = 255  # characters
_MIME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}/[A-Za-z0-9][A-Za-z0-9.+_-]{0,127}")


def refusal(message: SendMedia) -> SendFailed | None:
    """The permanent failure of a message that no phone could show; None when it may be sent.

    The error begins with `too_large:` or `unsupported:`.
    """
    problem = _problem(message)
    return SendFailed(message.session, message.ref, problem, permanent=True) if problem else None


def _problem(message: SendMedia) -> str:
    if len(message.data) > MAX_MEDIA_BYTES:
        return f"too_large: the file is larger than {MAX_MEDIA_BYTES >> 20} MiB"
    if not message.data:
        return "unsupported: the file is empty"
    if not _MIME.fullmatch(message.mime):
        return "unsupported: the file's type is none"
    if message.kind not in ("image", "document"):
        return "unsupported: only pictures and documents are sent"
    if message.kind == "image" and message.mime not in PICTURES:
        return "unsupported: a picture is a JPEG or a PNG"
    if message.kind == "image" and not message.data.startswith(PICTURES[message.mime]):
        return "unsupported: the file is not the picture that its type says"
    if len(message.file_name) > MAX_FILE_NAME or any(ord(c) < 32 or ord(c) == 127 for c in message.file_name):
        return "unsupported: the file's name is too long or holds control characters"
    return ""
