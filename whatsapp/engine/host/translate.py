"""The library's events and errors in the words of our protocol. Pure: no call into the library.

The library's messages are protobuf classes of the package neonize (`Neonize.proto`,
`WAWebProtobufsE2E.proto`); only their fields are used here.
"""

from __future__ import annotations

import base64
import math
import re
from typing import Any

from whatsapp.engine.commands import SendMedia
from whatsapp.engine.events import (
    Banned,
    Incoming,
    Location,
    MediaReference,
    PairingCodeFailed,
    Receipt,
    SendFailed,
)

RECEIPT_KINDS = {"DELIVERED": "delivered", "READ": "read", "PLAYED": "read"}
# WhatsApp's numbers; the library counts the names from 1.
BAN_CODES = {
    "SEND_TO_TOO_MANY_PEOPLE": 101,
    "BLOCKED_BY_USERS": 102,
    "CREATED_TOO_MANY_GROUPS": 103,
    "SENT_TOO_MANY_SAME_MESSAGE": 104,
    "BROADCAST_LIST": 106,
}
# Parts of a message that carry no content of their own.
SILENT_PARTS = {"messageContextInfo", "senderKeyDistributionMessage", "protocolMessage"}
MEDIA_KINDS = ("image", "video", "audio", "document", "sticker")
# After these the message may have left: the connection was lost between sending and the acknowledgement.
OUTCOME_UNKNOWN = ("timed out waiting for message send response", "before message send returned response")
NOT_CONNECTED = ("websocket not connected", "not logged in", "websocket disconnected", "store is nil")


def enum_name(message: Any, field: str) -> str:
    """The name of an enum field's value, or its number when this version does not know it."""
    number = getattr(message, field)
    known = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return known[number].name if number in known else str(number)


def jid_text(jid: Any) -> str | None:
    """`user@server` or `user:device@server`; None for an empty JID."""
    if not jid.User:
        return None
    device = f":{jid.Device}" if jid.Device else ""
    return f"{jid.User}{device}@{jid.Server}"


def bare_jid_text(jid: Any) -> str | None:
    """The JID of the person, without the device."""
    return f"{jid.User}@{jid.Server}" if jid.User else None


def epoch_seconds(timestamp: int) -> float:
    """A library timestamp, which comes in seconds, milli- or nanoseconds, as seconds since the epoch."""
    value = float(timestamp)
    while value > 1e11:
        value /= 1000
    return value


def ban(session: str, event: Any) -> Banned:
    """A temporary ban, with WhatsApp's own code (0 for one that the library does not know).

    The library gives the length in nanoseconds or seconds.
    """
    seconds = float(event.Expire)
    if seconds > 1e8:
        seconds /= 1e9
    reason = enum_name(event, "Code") if event.HasField("Code") else ""
    return Banned(session, BAN_CODES.get(reason, 0), seconds or None, reason.lower() or "unknown")


def receipt(session: str, event: Any) -> Receipt | None:
    """A receipt of the recipient's phone; None for those of our own devices and for protocol matters."""
    kind = RECEIPT_KINDS.get(enum_name(event, "Type"))
    if kind is None or event.MessageSource.IsFromMe:
        return None
    at = epoch_seconds(event.Timestamp)
    return Receipt(session, list(event.MessageIDs), kind, at)  # type: ignore[arg-type]


def incoming(session: str, event: Any) -> Incoming | None:
    """A message of a person in a private chat; None for our own, groups, channels and protocol matters."""
    source = event.Info.MessageSource
    if source.IsFromMe or source.IsGroup or source.Chat.Server not in ("s.whatsapp.net", "lid"):
        return None
    text, note = content(event.Message)
    if text is None and note is None:
        return None
    names = [jid for jid in (source.Sender, source.SenderAlt) if jid.User]
    phone = next((jid.User for jid in names if jid.Server == "s.whatsapp.net"), None)
    lid = next((bare_jid_text(jid) for jid in names if jid.Server == "lid"), None)
    return Incoming(
        session,
        event.Info.ID,
        phone,
        lid,
        text,
        note,
        epoch_seconds(event.Info.Timestamp),
        media=media(event.Message),
        location=location(event.Message),
    )


def content(message: Any) -> tuple[str | None, str | None]:
    """The text of a message, and the name of its kind when it is not plain text."""
    if message.conversation:
        return message.conversation, None
    if message.HasField("extendedTextMessage"):
        return message.extendedTextMessage.text, None
    parts = [field.name for field, _ in message.ListFields() if field.name not in SILENT_PARTS]
    if not parts:
        return None, None
    part = getattr(message, parts[0])
    text = getattr(part, "caption", None) or getattr(part, "text", None)
    kind = "voice" if getattr(part, "PTT", False) else parts[0].removesuffix("Message")
    return (text if isinstance(text, str) else None), kind


def media(message: Any) -> MediaReference | None:
    """The file of a message; None without one, and for what its sender lets be seen once only."""
    for kind in MEDIA_KINDS:
        if not message.HasField(f"{kind}Message"):
            continue
        part = getattr(message, f"{kind}Message")
        if getattr(part, "viewOnce", False):
            return None
        return MediaReference(
            kind="voice" if getattr(part, "PTT", False) else kind,
            mime=part.mimetype[:200],
            name=getattr(part, "fileName", "")[:500],
            size=part.fileLength,
            path=part.directPath[:2000],
            key=_base64(part.mediaKey),
            sha256=_base64(part.fileSHA256),
            sealed_sha256=_base64(part.fileEncSHA256),
        )
    return None


def location(message: Any) -> Location | None:
    """The place that a message names; None without one, or when it is none on earth."""
    if not message.HasField("locationMessage"):
        return None
    part = message.locationMessage
    latitude, longitude = part.degreesLatitude, part.degreesLongitude
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        return None
    if abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return Location(latitude=latitude, longitude=longitude, name=part.name[:200], address=part.address[:300])


def _base64(data: bytes) -> str:
    return base64.b64encode(data[:64]).decode()


def send_failure(session: str, ref: str, error: str) -> SendFailed:
    """Why a send failed, as a machine word and the library's words without numbers of people."""
    words = without_numbers(error)
    if any(part in error for part in OUTCOME_UNKNOWN):
        return SendFailed(session, ref, f"timeout: {words}", permanent=False)
    if any(part in error for part in NOT_CONNECTED):
        return SendFailed(session, ref, f"not_connected: {words}", permanent=False)
    refused = re.search(r"server returned error (\d+)", error)
    if refused:
        permanent = refused[1] != "429" and not refused[1].startswith("5")
        return SendFailed(session, ref, f"refused: {words}", permanent=permanent)
    return SendFailed(session, ref, f"failed: {words}", permanent=False)


def upload_failure(command: SendMedia, error: str) -> SendFailed:
    """Why a file could not be uploaded. Nothing has gone out; the library's words may hold the address with
    the right to upload."""
    words = without_numbers(re.sub(r"https?://[^\s\"]+", "…", error))
    if any(part in error for part in NOT_CONNECTED):
        return SendFailed(command.session, command.ref, f"not_connected: {words}", permanent=False)
    if "status code 413" in error:
        return SendFailed(command.session, command.ref, f"too_large: {words}", permanent=True)
    return SendFailed(command.session, command.ref, f"upload_failed: {words}", permanent=False)


def pairing_code_failure(session: str, error: str) -> PairingCodeFailed:
    """Why there is no pairing code."""
    if "429" in error or "rate-overlimit" in error:
        return PairingCodeFailed(session, "rate_limited", "WhatsApp asks to wait before the next code.")
    if "phone number" in error or "400" in error:
        return PairingCodeFailed(session, "bad_phone", "WhatsApp does not accept this phone number.")
    return PairingCodeFailed(session, "failed", without_numbers(error))


def without_numbers(text: str) -> str:
    """The text with every run of 7 or more digits (phones, LIDs) masked, at most 300 characters."""
    return re.sub(r"\d{7,}", "…", text)[:300]
