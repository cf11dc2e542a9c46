"""One post of a client's message to a salon's own address: what it says, and how it is signed.

docs/forwarding.md tells the receiver how to check it.
"""

import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse

from marketplace.models import Company
from marketplace.models.forwarding import ForwardedMessage, Forwarding
from marketplace.yclients import safe_http
from whatsapp.crypto.encryption import UndecryptableError
from whatsapp.models import Message

BUSY = (429, 503)
TEXT_IS_GONE = "its text was removed, as its time was over"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a post ended: delivered when `cause` is empty. `rest`: leave the receiver alone for a while;
    `final`: do not try again."""

    cause: str = ""
    rest: bool = False
    retry_after: float = 0.0
    final: bool = False


def new_secret() -> str:
    """Return a fresh secret for signatures."""
    return secrets.token_hex(32)


def signature(*, secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of `X-Signature`: HMAC-SHA256 over the timestamp, a dot and the body."""
    signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"sha256={signed.hexdigest()}"


def post(row: ForwardedMessage) -> Outcome:
    """Post the message to its address, signed; never raises for what the receiver or the network does."""
    try:
        target = (
            Forwarding.objects.select_related("company")
            .defer("company__api_key", "company__webhook_secret")
            .get(pk=row.forwarding_id)
        )
    except UndecryptableError as error:
        return Outcome(str(error), rest=True)
    if ForwardedMessage.objects.filter(ForwardedMessage.TEXT_IS_GONE, pk=row.pk).exists():
        return Outcome(TEXT_IS_GONE, final=True)
    body = json.dumps(_payload(row, target.company), ensure_ascii=False).encode()
    timestamp = str(int(time.time()))
    headers = {
        "Accept": "application/json",
        "X-Delivery-Id": str(row.delivery_id),
        "X-Timestamp": timestamp,
        "X-Signature": signature(secret=target.secret, timestamp=timestamp, body=body),
    }
    try:
        answer = safe_http.post(target.url, body, headers=headers, allowed=safe_http.check_public)
    except safe_http.AddressRefused as error:
        return Outcome(f"the address is not allowed: {error}", rest=True)
    except safe_http.Unreachable as error:
        return Outcome(str(error), rest=True)
    if 200 <= answer.status < 300:
        return Outcome()
    return Outcome(f"HTTP {answer.status}", answer.status in BUSY, answer.retry_after or 0.0)


def _payload(row: ForwardedMessage, company: Company) -> dict[str, Any]:
    """What the receiver gets; times in ISO 8601 with their zone."""
    envelope = {"delivery_id": str(row.delivery_id), "event": row.event, "salon_id": company.salon_id}
    if row.event == ForwardedMessage.Event.MESSAGE_RECEIVED:
        return {**envelope, "message": _received_message(row.message_id)}
    return {**envelope, **(row.details or {})}


def _received_message(message_id: int | None) -> dict[str, Any]:
    """What a client wrote; `from.phone` is null while WhatsApp hides it."""
    message = (
        Message.objects.select_related("session", "media", "location")
        .defer("callback_url", "session__qr", "session__pairing_code", "media__key", "media__reference")
        .get(pk=message_id or 0)
    )
    return {
        "id": str(message.pk),
        "from": {"phone": message.phone or None, "lid": message.lid or None},
        "to": message.session.phone or None,
        "text": message.text,
        "note": message.note or None,
        "media": _media(message),
        "location": _location(message),
        "sent_at": message.sent_at.isoformat() if message.sent_at else None,
        "received_at": message.created_at.isoformat(),
    }


def _media(message: Message) -> dict[str, Any] | None:
    """What the file is, in its sender's words, and where an API key of the salon fetches it."""
    file = message.media
    if file is None:
        return None
    address = f"{settings.BASE_URL}{reverse('api-message-media', args=[message.pk])}"
    return {
        "kind": file.kind,
        "mime": file.mime,
        "file_name": file.name,
        "size": file.size,
        "url": address,
    }


def _location(message: Message) -> dict[str, Any] | None:
    place = getattr(message, "location", None)
    return place.as_dict() if place else None
