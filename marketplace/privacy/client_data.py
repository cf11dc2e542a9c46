"""A client asks what is held of him, or wants it erased (152-FZ article 14 and 21, GDPR articles 15 and 17).

Both are written down in `ClientDataRequest`, without his phone. What an erasure leaves: numbers, states and
times of messages, so that counts stay true and nothing is sent twice; and his opt-outs as a keyed hash,
because "no more messages" must hold after it. What a salon's own address was sent is not ours any more.
"""

import base64
from collections.abc import Iterable
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from config.shared.masking import mask_phone
from marketplace.inbound.erased_phones import phone_hash
from marketplace.models import ClientDataRequest, InboundWebhook
from marketplace.privacy.client_rows import ClientRows
from whatsapp.media import files
from whatsapp.media.files import FileUnavailable
from whatsapp.messages import message_queue
from whatsapp.models import MediaFile, Message, MessageLocation

log = structlog.get_logger("privacy")

ERROR_CODE, ERROR = "erased", "the client's data was erased"
ENVELOPE = ("company_id", "resource", "resource_id", "status")
State = InboundWebhook.State


def count(*, phone: str, salon_id: int | None = None) -> dict[str, int]:
    """Say how many rows of each kind hold data of the client, changing nothing."""
    rows = ClientRows(phone, salon_id)
    return {
        "messages": rows.messages().count(),
        "files": rows.files().count(),
        "conversations": rows.conversations().count(),
        "forwarded": rows.forwarded().count(),
        "bookings": rows.bookings().count(),
        "webhooks": rows.webhooks().count(),
        "opt_outs": rows.opt_outs().count(),
        "known_numbers": rows.numbers().count(),
    }


def export(*, phone: str, by: str, salon_id: int | None = None) -> dict[str, Any]:
    """Return everything that is held of the client as JSON-like data, and write down who took it."""
    rows = ClientRows(phone, salon_id)
    found = {
        "messages": [_message(row) for row in rows.messages_with_places()],
        "files": [_file(row) for row in rows.files().order_by("pk")],
        "conversations": _values(rows.conversations(), "phone", "lid", "last_at", "unread", "read_at"),
        "forwarded": _values(rows.forwarded(), "delivery_id", "message_id", "state", "delivered_at"),
        "bookings": _values(
            rows.bookings(), "company__salon_id", "record_id", "starts_at", "phone", "seen", "told", "said"
        ),
        "webhooks": _values(rows.webhooks(), "salon_id", "name", "received_at", "body"),
        "opt_outs": _values(rows.opt_outs(), "company__salon_id", "scope", "said_at", "said_by", "undone_at"),
        "known_numbers": _values(rows.numbers(), "phone", "on_whatsapp", "jid", "lid", "checked_at"),
    }
    counts = {name: len(listed) for name, listed in found.items()}
    _write_down(ClientDataRequest.Action.EXPORT, phone, salon_id, by, counts)
    return {"phone": phone, "salon_id": salon_id, "exported_at": timezone.now(), **found}


def erase(*, phone: str, by: str, salon_id: int | None = None) -> dict[str, int]:
    """Erase what is held of the client; return how many rows of each kind were changed.

    `in_flight` counts messages that are just being handed to WhatsApp and have to be erased by a second call.
    Safe to repeat.
    """
    with transaction.atomic():
        rows = ClientRows(phone, salon_id)
        # Webhooks and forwardings are found by the bookings and messages that go after them.
        counts = {
            "webhooks": _erase_webhooks(rows),
            "forwarded": rows.forwarded().delete()[0],
            "conversations": rows.conversations().delete()[0],
            "bookings": rows.bookings().delete()[0],
            # Before the messages, by whose phone they are found.
            "files": files.remove(rows.files()),
            **_erase_messages(rows),
            "opt_outs": _hash_opt_outs(rows),
            "known_numbers": rows.numbers().delete()[0],
        }
        _write_down(ClientDataRequest.Action.ERASE, phone, salon_id, by, counts)
    return counts


def _message(row: Message) -> dict[str, Any]:
    return {
        "id": row.pk,
        "direction": row.direction,
        "source": row.source,
        "phone": row.phone,
        "text": row.text,
        "note": row.note,
        "status": row.status,
        "created_at": row.created_at,
        "sent_at": row.sent_at,
        "delivered_at": row.delivered_at,
        "read_at": row.read_at,
        "file_id": row.media_id,
        "place": _place(row),
    }


def _file(row: MediaFile) -> dict[str, Any]:
    """A file with its content in base64; without it when it is not kept, or cannot be read now."""
    try:
        content = base64.b64encode(files.read(row)).decode()
    except FileUnavailable:
        content = None
    return {"id": row.pk, "kind": row.kind, "name": row.name, "size": row.size, "content": content}


def _place(row: Message) -> dict[str, Any] | None:
    place = getattr(row, "location", None)
    return place.as_dict() if place else None


def _values(rows: Any, *fields: str) -> list[dict[str, Any]]:
    named: Iterable[dict[str, Any]] = rows.order_by("pk").values(*fields)
    return [{name.replace("company__", ""): value for name, value in row.items()} for row in named]


def _erase_messages(rows: ClientRows) -> dict[str, int]:
    """End what waits, which YClients is still told; of all messages only states and times stay."""
    message_queue.finish_waiting(
        rows.messages().filter(direction=Message.Direction.OUT), error_code=ERROR_CODE, error=ERROR
    )
    chosen = list(rows.messages().values_list("pk", "status"))
    ended = [pk for pk, status in chosen if status != Message.Status.SENDING]
    MessageLocation.objects.filter(pk__in=ended).delete()
    # What a client wrote is not acted on any more.
    incoming = Message.objects.filter(pk__in=ended, direction=Message.Direction.IN)
    incoming.filter(callback_state=Message.CallbackState.DUE).update(
        callback_state=Message.CallbackState.DONE
    )
    changed = Message.objects.filter(pk__in=ended).exclude(status=Message.Status.SENDING)
    erased = changed.update(text="", phone="", lid="", note="", error="", pruned_at=timezone.now())
    return {"messages": erased, "in_flight": len(chosen) - erased}


def _erase_webhooks(rows: ClientRows) -> int:
    """Keep of each what a repeat is known by; one that has not had its effect has none any more."""
    found = list(rows.webhooks())
    for webhook in found:
        webhook.body = {name: webhook.body.get(name) for name in ENVELOPE} | {"erased": True}
        webhook.last_error = ""
        if webhook.state in (State.RECEIVED, State.FAILED, State.DEAD):
            webhook.state, webhook.next_attempt_at = State.IGNORED, None
        webhook.save(update_fields=["body", "last_error", "state", "next_attempt_at"])
    return len(found)


def _hash_opt_outs(rows: ClientRows) -> int:
    """Opt-outs that hold go on holding by a hash; those that were taken back go."""
    taken_back = rows.opt_outs().filter(undone_at__isnull=False)
    deleted = taken_back.delete()[0]
    hashed = phone_hash(rows.phone)
    return deleted + rows.opt_outs().exclude(phone="").update(phone="", phone_hash=hashed)


def _write_down(action: str, phone: str, salon_id: int | None, by: str, counts: dict[str, int]) -> None:
    masked = mask_phone(phone)
    ClientDataRequest.objects.create(
        action=action, phone_masked=masked, salon_id=salon_id, counts=counts, by=by[:200]
    )
    log.info("client data", action=str(action), phone=masked, salon_id=salon_id, by=by, **counts)
