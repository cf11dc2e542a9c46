"""Pictures, voice messages, documents and places in messages, as phones write and show them."""

from __future__ import annotations

import base64
from typing import Any

from . import media_files
from .hub import Hub
from .protobufs import Message
from .refusal import Refused

# Kind as people see it: the field of the message.
FIELDS = {
    "image": "imageMessage",
    "video": "videoMessage",
    "audio": "audioMessage",
    "voice": "audioMessage",
    "document": "documentMessage",
    "sticker": "stickerMessage",
}
Attachment = dict[str, Any]  # JSON; bytes as base64


def of_file(hub: Hub, kind: str, data: bytes, *, mime: str, name: str, claims: Attachment) -> Attachment:
    """Put a file on the server and describe it. `claims` are untrue words about it, such as another size."""
    if kind not in FIELDS:
        raise Refused(400, f"There is no such kind; there are {', '.join(FIELDS)}.")
    sealed = media_files.seal(kind, data)
    return {
        "kind": kind,
        "mime": mime,
        "name": name,
        "size": len(data),
        "path": hub.media.put(sealed.data),
        "key": _text(sealed.key),
        "sha256": _text(sealed.sha256),
        "sealed_sha256": _text(sealed.sealed_sha256),
    } | claims


def of_place(latitude: float, longitude: float, name: str) -> Attachment:
    """A place on the map."""
    return {"kind": "location", "latitude": latitude, "longitude": longitude, "name": name}


def write(content: Any, attachment: Attachment, caption: str) -> None:
    """Put an attachment into a message that is to be sent."""
    if attachment["kind"] == "location":
        place = content.locationMessage
        place.degreesLatitude, place.degreesLongitude = attachment["latitude"], attachment["longitude"]
        place.name = attachment["name"]
        return
    part = getattr(content, FIELDS[attachment["kind"]])
    part.URL = attachment.get("url") or f"https://mmg.whatsapp.net{attachment['path']}"
    part.directPath, part.mimetype = attachment["path"], attachment["mime"]
    part.fileLength = attachment["size"]
    part.mediaKey = base64.b64decode(attachment["key"])
    part.fileSHA256 = base64.b64decode(attachment["sha256"])
    part.fileEncSHA256 = base64.b64decode(attachment["sealed_sha256"])
    if attachment["kind"] == "voice":
        part.PTT = True
    if attachment["kind"] == "document":
        part.fileName = attachment["name"]
    if caption and "caption" in part.DESCRIPTOR.fields_by_name:
        part.caption = caption


def read(content: Any) -> Attachment | None:
    """The attachment of a message that has come."""
    if content.HasField("documentWithCaptionMessage"):
        content = content.documentWithCaptionMessage.message
    if content.HasField("locationMessage"):
        place = content.locationMessage
        return of_place(place.degreesLatitude, place.degreesLongitude, place.name)
    for kind, field in FIELDS.items():
        if kind != "voice" and content.HasField(field):
            return _read_file(getattr(content, field), kind)
    return None


def _read_file(part: Any, kind: str) -> Attachment:
    return {
        "kind": "voice" if kind == "audio" and part.PTT else kind,
        "mime": part.mimetype,
        "name": getattr(part, "fileName", ""),
        "size": part.fileLength,
        "path": part.directPath,
        "key": _text(part.mediaKey),
        "sha256": _text(part.fileSHA256),
        "sealed_sha256": _text(part.fileEncSHA256),
    }


def file_of(hub: Hub, attachment: Attachment | None) -> bytes:
    """The file as the phone shows it, fetched from the server and opened; raises Refused."""
    if attachment is None or attachment["kind"] == "location":
        raise Refused(404, "This message has no file.")
    data = hub.media.at(attachment["path"])
    if data is None:
        raise Refused(404, "The server has no such file.")
    key, sha256 = base64.b64decode(attachment["key"]), base64.b64decode(attachment["sha256"])
    try:
        return media_files.open_sealed(attachment["kind"], data, key, sha256)
    except media_files.MediaError as error:
        raise Refused(422, f"The file cannot be opened: {error}.") from error


def content_of(text: str, attachment: Attachment | None) -> Any:
    """A message's content: its text, or its attachment with the text as caption."""
    content = Message()
    if attachment is None:
        content.conversation = text
    else:
        write(content, attachment, text)
    return content


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
