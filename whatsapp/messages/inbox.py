"""What comes in: receipts for what was sent, and what clients write. Facts, written down without a lease."""

from datetime import UTC, datetime

from django.db.models import Value
from django.db.models.functions import Greatest
from django.utils import timezone

from whatsapp import metrics
from whatsapp.engine.events import Incoming
from whatsapp.messages import numbers, status_changes
from whatsapp.messages.message_queue import storable
from whatsapp.messages.status_changes import to_be_told
from whatsapp.models import Message

Status = Message.Status


def record_receipts(*, session_id: str, message_ids: list[str], kind: str, at: float) -> set[str]:
    """Note that these messages were `delivered` or `read` at `at` (seconds since the epoch).

    Returns the ids that are known. A status never goes back, and what was read was delivered.
    """
    rows = Message.objects.filter(
        session_id=session_id, direction=Message.Direction.OUT, wa_message_id__in=message_ids
    )
    now = timezone.now()
    moment = min(datetime.fromtimestamp(at, UTC), now)
    arrived = Greatest("sent_at", Value(moment))  # WhatsApp's clock has whole seconds, ours has not
    if kind == "read":
        later = Greatest("delivered_at", Value(moment))
        read = rows.filter(status=Status.DELIVERED).update(status=Status.READ, read_at=later)
        changed = rows.filter(status=Status.SENT).update(
            status=Status.READ, read_at=arrived, delivered_at=arrived, **to_be_told(now)
        )
        if read or changed:
            metrics.MESSAGES.labels(outcome=Status.READ).inc(read + changed)
    else:
        changed = rows.filter(status=Status.SENT).update(
            status=Status.DELIVERED, delivered_at=arrived, **to_be_told(now)
        )
    if changed:
        metrics.MESSAGES.labels(outcome=Status.DELIVERED).inc(changed)
        status_changes.wake_soon()
    named = set(message_ids)
    return named if changed == len(named) else set(rows.values_list("wa_message_id", flat=True))


def record_incoming(event: Incoming) -> bool:
    """Store what a person wrote to the salon; True when it is new."""
    phone, lid = event.phone or "", event.lid or ""
    if phone and lid:
        numbers.pair(phone=phone, lid=lid)
    now = timezone.now()
    message = Message(
        session_id=event.session,
        direction=Message.Direction.IN,
        source=Message.Source.INBOUND,
        status=Status.RECEIVED,
        phone=phone or numbers.phone_of(lid),
        lid=lid,
        text=storable(event.text or ""),
        note=(event.note or "")[:64],
        wa_message_id=event.wa_message_id,
        callback_state=Message.CallbackState.DUE,
        callback_next_at=now,
        created_at=now,
        sent_at=min(datetime.fromtimestamp(event.at, UTC), now),
    )
    mine = Message.objects.filter(
        session_id=event.session, direction=Message.Direction.IN, wa_message_id=event.wa_message_id
    )
    if mine.exists():
        return False
    Message.objects.bulk_create([message], ignore_conflicts=True)
    metrics.MESSAGES.labels(outcome=Status.RECEIVED).inc()
    status_changes.wake_soon()
    return True
