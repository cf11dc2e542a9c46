"""Writes what comes in: receipts for what was sent, and what clients write. It needs no lease."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from itertools import groupby
from operator import or_

from django.db import transaction
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from config.shared.storable import storable
from whatsapp import metrics
from whatsapp.engine.events import Incoming, Receipt
from whatsapp.media import incoming
from whatsapp.messages import conversations, numbers, status_changes
from whatsapp.messages.status_changes import callback_due
from whatsapp.models import Message

Status = Message.Status


def record_receipts(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Note which messages were delivered or read, and when; a status never goes back.

    Returns the receipts of messages that are not known (yet), one for each message.
    """
    now = timezone.now()
    delivered = read = 0
    # "delivered" comes before "read". WhatsApp's clock has whole seconds: many receipts share a moment.
    for (kind, at), group in groupby(sorted(receipts, key=_kind_and_moment), key=_kind_and_moment):
        rows = Message.objects.filter(_named(group), direction=Message.Direction.OUT)
        moment = min(datetime.fromtimestamp(at, UTC), now)
        if kind == "read":
            later = Greatest("delivered_at", Value(moment))
            read += rows.filter(status=Status.DELIVERED).update(status=Status.READ, read_at=later)
        changed = _mark_arrived(rows.filter(status=Status.SENT), moment, now, read=kind == "read")
        delivered += changed
        read += changed if kind == "read" else 0
    for outcome, number in ((Status.DELIVERED, delivered), (Status.READ, read)):
        if number:
            metrics.MESSAGES.labels(outcome=outcome).inc(number)
    if delivered:
        status_changes.wake_workers_soon()
    named = sum(len(receipt.message_ids) for receipt in receipts)
    return [] if delivered == named else _of_unknown_messages(receipts)


def _kind_and_moment(receipt: Receipt) -> tuple[str, int]:
    return receipt.kind, int(receipt.at)


def _mark_arrived(rows: QuerySet[Message], moment: datetime, now: datetime, *, read: bool) -> int:
    """Sent messages are at the phone now; what was read was delivered."""
    arrived = Greatest("sent_at", Value(moment))  # our clock is finer than WhatsApp's
    seen = {"status": Status.READ, "read_at": arrived} if read else {"status": Status.DELIVERED}
    return rows.update(delivered_at=arrived, **seen, **callback_due(now))


def _named(receipts: Iterable[Receipt]) -> Q:
    """The messages that these receipts name; a session's receipts are about its own messages alone."""
    ids: dict[str, list[str]] = {}
    for receipt in receipts:
        ids.setdefault(receipt.session, []).extend(receipt.message_ids)
    return reduce(or_, (Q(session_id=pk, wa_message_id__in=named) for pk, named in ids.items()))


def _of_unknown_messages(receipts: Sequence[Receipt]) -> list[Receipt]:
    rows = Message.objects.filter(_named(receipts), direction=Message.Direction.OUT)
    known = {(str(session), name) for session, name in rows.values_list("session_id", "wa_message_id")}
    return [
        replace(receipt, message_ids=[message_id])
        for receipt in receipts
        for message_id in receipt.message_ids
        if (receipt.session, message_id) not in known
    ]


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
    with transaction.atomic():
        file = message.media = incoming.record(event.session, event.media) if event.media else None
        Message.objects.bulk_create([message], ignore_conflicts=True)
        message.pk, kept = mine.values_list("pk", "media_id").get()
        if file and kept != file.pk:
            file.delete()  # another pool was first
        if event.location:
            incoming.record_location(message, event.location)
    conversations.record_received(message)
    metrics.MESSAGES.labels(outcome=Status.RECEIVED).inc()
    status_changes.wake_workers_soon()
    return True
