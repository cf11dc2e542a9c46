"""A kept file as an HTTP response: shown in the page when it is a picture, a sound or a film, else saved.

Phones play sounds only from servers that give parts of a file (RFC 9110, section 14).
"""

import re
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse

from whatsapp.media import content_types, files
from whatsapp.media.files import FileUnavailable
from whatsapp.models import MediaFile

RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
UNSAFE_IN_NAMES = re.compile(r"[\x00-\x1f\x7f/\\\"]")
EXTENSIONS = {
    "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp", "audio/ogg": "ogg",
    "audio/mpeg": "mp3", "audio/aac": "aac", "audio/wav": "wav", "audio/mp4": "m4a", "video/mp4": "mp4",
    "video/webm": "webm",
}  # fmt: skip


def file_response(request: HttpRequest, file: MediaFile) -> HttpResponse:
    """The file, or the part of it that the request names. Raises FileUnavailable.

    Whoever calls this has asked whether the file may be seen.
    """
    content = files.read(file)
    mime = content_types.of(content)
    inline = mime != content_types.DOWNLOAD
    response = _whole_or_part(request.headers.get("Range", ""), content)
    headers = {
        "Content-Type": mime,
        "Content-Disposition": _disposition(file, mime, inline=inline),
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
        # Opened by itself it is nobody's page: no scripts, no origin.
        "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'; img-src 'self'",
    }
    for name, value in headers.items():
        response.headers[name] = value
    return response


def file_name(file: MediaFile, mime: str) -> str:
    """The name that the file is saved under."""
    named = UNSAFE_IN_NAMES.sub("_", file.name).strip(". ")[:150]
    return named or f"{file.kind}-{file.pk}.{EXTENSIONS.get(mime, 'bin')}"


def _disposition(file: MediaFile, mime: str, *, inline: bool) -> str:
    way = "inline" if inline else "attachment"
    return f"{way}; filename*=UTF-8''{quote(file_name(file, mime), safe='')}"


def _whole_or_part(wanted: str, content: bytes) -> HttpResponse:
    size = len(content)
    named = RANGE.fullmatch(wanted.strip())
    if not named or (not named[1] and not named[2]):
        return HttpResponse(content)
    if named[1]:
        first, last = int(named[1]), min(int(named[2] or size), size - 1)
    else:
        first, last = max(size - int(named[2]), 0), size - 1
    if first > last:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    part = HttpResponse(content[first : last + 1], status=206)
    part.headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return part


__all__ = ["FileUnavailable", "file_name", "file_response"]
