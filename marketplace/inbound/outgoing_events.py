"""Further events for a salon's own address: states of its messages, and its WhatsApp linked or logged out.

They are rows of the same queue as what clients write, so they are signed, retried and replayed alike.
"""

import uuid
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from config.shared import hints
from marketplace.models import Company, MarketplaceEvent
from marketplace.models.forwarding import ForwardedMessage, Forwarding
from whatsapp.messages.status_changes import MESSAGE_CALLBACKS
from whatsapp.models import Message

State = Message.CallbackState
Event = ForwardedMessage.Event
# Messages of the API whose status has changed since it was last put into the queue of deliveries.
STATUSES = replace(
    MESSAGE_CALLBACKS,
    name="api_statuses",
    where=Q(source=Message.Source.API, direction=Message.Direction.OUT),
)


def queue_status(message_id: int) -> bool:
    """Queue the message's present status for its salon's address; False when another worker does it."""
    with transaction.atomic():
        message = STATUSES.lock(message_id)
        if message is None:
            return False
        salon_id = (message.external_id or "").partition(":")[0]
        wanting = Forwarding.objects.filter(company__salon_id=salon_id, enabled=True, sends_statuses=True)
        _queue(
            wanting.values_list("pk", flat=True),
            message=message,
            event=Event.MESSAGE_STATUS,
            subject=message.status,
            details={"message": _status_of(message)},
        )
        # Locked until the commit: a status that changes later makes the row due again.
        Message.objects.filter(pk=message.pk).update(callback_state=State.DONE, callback_next_at=None)
    return True


def queue_session_change(*, company: Company, event: MarketplaceEvent) -> None:
    """Queue that the salon's WhatsApp was linked or has gone, in the caller's transaction."""
    wanting = Forwarding.objects.filter(company=company, enabled=True, sends_session_changes=True)
    linked = event.event_type == MarketplaceEvent.Type.WHATSAPP_CONNECTED
    session = {"linked": linked, "reason": None if linked else event.event_data.get("by")}
    _queue(
        wanting.values_list("pk", flat=True),
        message=None,
        event=Event.SESSION_CHANGED,
        subject=str(event.pk),
        details={"session": {**session, "at": event.created_at.isoformat()}},
    )


def queue_test(*, forwarding: Forwarding, by: str) -> bool:
    """Queue an event that says nothing but that it is a test; False while nothing is forwarded, or an earlier
    test is still on its way.

    It does not wait until the address has been left alone for long enough, and is tried once.
    """
    with transaction.atomic():
        row = Forwarding.objects.select_for_update(no_key=True).get(pk=forwarding.pk)
        tests = ForwardedMessage.objects.filter(
            forwarding=row, event=Event.TEST, state=ForwardedMessage.State.DUE
        )
        if not row.enabled or tests.exists():
            return False
        Forwarding.objects.filter(pk=row.pk).update(paused_until=None)
        now = timezone.now()
        _queue([row.pk], message=None, event=Event.TEST, subject=uuid.uuid4().hex,
               details={"test": {"at": now.isoformat()}})  # fmt: skip
        company = Company.objects.only("pk", "salon_id").get(forwarding=row.pk)
        company.note(MarketplaceEvent.Type.FORWARDING_TESTED, by=by)
    return True


def _queue(addresses: Any, **fields: Any) -> None:
    rows = [ForwardedMessage(forwarding_id=pk, **fields) for pk in addresses]
    ForwardedMessage.objects.bulk_create(rows, ignore_conflicts=True)
    if rows:
        hints.wake_workers()


def _status_of(message: Message) -> dict[str, Any]:
    times = {
        name: getattr(message, name).isoformat() if getattr(message, name) else None
        for name in ("sent_at", "delivered_at", "read_at")
    }
    return {
        "id": str(message.pk),
        "status": message.status,
        "error": message.error_code or None,
        "changed_at": timezone.now().isoformat(),
        **times,
    }
