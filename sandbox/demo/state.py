"""What the guide shows: salons and messages as the database has them, statuses as YClients got them."""

from collections.abc import Sequence
from typing import Any

from marketplace.models import Company, MarketplaceEvent
from sandbox.yclients.notifications import STATUS_WORDS, Notification
from whatsapp.models import Message
from whatsapp.sessions import services

SHOWN = 12
ABOUT_BOOKINGS = (Message.Source.BOOKING, Message.Source.REMINDER)


def salons() -> list[dict[str, Any]]:
    """The salons that came last, with whether a page of theirs shows a code, and whether the owner was in the
    cabinet."""
    companies = Company.objects.select_related("session").order_by("-updated_at")[:10]
    opened = MarketplaceEvent.objects.filter(event_type=MarketplaceEvent.Type.CABINET_OPENED)
    return [
        {
            "salon_id": company.salon_id,
            "title": company.title,
            "status": company.status,
            "status_words": str(company.get_status_display()),
            "session": company.session.status if company.session else "",
            "has_qr": bool(company.session and services.snapshot(session=company.session).qr),
            "cabinet_opened": opened.filter(salon_id=company.salon_id).exists(),
        }
        for company in companies
    ]


def talk(client_phone: str) -> list[dict[str, Any]]:
    """The last messages between salons and the client, oldest first."""
    newest = Message.objects.filter(phone=client_phone).order_by("-id").defer("callback_url")[:SHOWN]
    return [_message(message) for message in reversed(newest)]


def _message(message: Message) -> dict[str, Any]:
    return {
        "id": message.pk,
        "from_client": message.direction == Message.Direction.IN,
        "from_yclients": message.source == Message.Source.OPERATOR,
        "about_booking": message.source in ABOUT_BOOKINGS,
        "from_cabinet": message.source == Message.Source.CABINET,
        "text": message.text or f"[{message.note}]",
        "source": str(message.get_source_display()),
        "status": message.status,
        "status_words": str(message.get_status_display()),
    }


def reports(notifications: Sequence[Notification]) -> dict[str, list[str]]:
    """The statuses that YClients got of its last notifications, by our number of each message."""
    return {
        one.ext_id: [f"{entry.status} {STATUS_WORDS[entry.status]}" for entry in one.statuses]
        for one in notifications[-SHOWN:]
        if one.ext_id
    }
