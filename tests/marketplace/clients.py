"""Clients of the salons who write to them, as the pool writes it down."""

import time
from itertools import count

from marketplace.inbound import processing
from marketplace.models import Company
from whatsapp.engine.events import Incoming
from whatsapp.messages import inbox
from whatsapp.models import Message

IVAN, OLGA = "79990000000", "79990000001"
_numbers = count(1)


def writes(
    company: Company, text: str, *, phone: str | None = IVAN, lid: str | None = None, wa_id: str = ""
) -> Message:
    """A client writes to the salon's number; return the row that is to be acted on."""
    wa_id = wa_id or f"WA{next(_numbers)}"
    inbox.record_incoming(Incoming(str(company.session_id), wa_id, phone, lid, text, None, time.time()))
    return Message.objects.get(wa_message_id=wa_id)


def work() -> None:
    """Do what the worker would do now."""
    for pk in processing.INBOUND.due(limit=100):
        processing.process(pk)


def texts_sent(phone: str = IVAN, source: str = "optout") -> list[str]:
    """The texts sent to the client, in order."""
    rows = Message.objects.filter(source=source, phone=phone).order_by("pk")
    return list(rows.values_list("text", flat=True))
