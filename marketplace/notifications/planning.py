"""What becomes of each notification: a message of a salon's queue, or a refusal.

A message's `external_id` is the salon's number and YClients' id, because several salons may share one
session.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from marketplace.models import Company
from marketplace.notifications.format import Code, Notification, Refusal
from marketplace.notifications.salons import Salon
from marketplace.notifications.senders import Sender
from marketplace.salons import clock, phone_numbers
from marketplace.salons.sending import SERVED
from whatsapp.messages import limits
from whatsapp.messages.message_queue import NewMessage, SendingSession
from whatsapp.models import Message, SendingLimits

# After this time the message is not worth sending: a reminder comes too late, a mailing is stale.
LIFETIMES = {Message.Category.SERVICE: timedelta(hours=3), Message.Category.ADDS: timedelta(hours=24)}


@dataclass(frozen=True, slots=True)
class Planned:
    """A notification that will be stored as `message`; `id` is YClients' own."""

    id: str
    salon: Salon
    sending: SendingSession
    message: NewMessage


Plan = list[Planned | Refusal]  # of one request


@dataclass(slots=True)
class Planner:
    """Plans notifications for salons, by their numbers there; with advertising, in a transaction."""

    salons: Mapping[int, Salon]
    now: datetime = field(default_factory=lambda: timezone.now())
    _daytimes: dict[int, datetime | None] = field(default_factory=dict)

    def plan(self, sender: Sender, one: Notification) -> Planned | Refusal:
        """Return what becomes of a notification of this sender."""
        if sender.salon_id is None and one.salon_id is None:
            return Refusal(one.id, Code.BAD_TOKEN, _("The message does not name its salon."))
        if sender.salon_id is not None and one.salon_id not in (None, sender.salon_id):
            return Refusal(one.id, Code.FORBIDDEN, _("This key may not send for another salon."))
        salon = self.salons.get(sender.salon_id or one.salon_id or 0)
        if salon is not None and salon.status == Company.Status.FROZEN:
            words = _("The salon's subscription is not paid: sending is stopped.")
            return Refusal(one.id, Code.NO_FUNDS, words)
        if salon is None or salon.status not in SERVED or salon.session_id is None:
            return Refusal(one.id, Code.NOT_FOUND, _("This salon has no WhatsApp here."))
        try:
            region = phone_numbers.region_of(phone=salon.phone, timezone_name=salon.timezone_name)
            phone = phone_numbers.digits_of(one.phone, region=region)
        except phone_numbers.NotAPhone as error:
            return Refusal(one.id, Code.BAD_FIELD, str(error))
        sending = SendingSession(salon.session_id, is_linked=bool(salon.jid))
        return Planned(one.id, salon, sending, self._message(salon, one, phone))

    def _message(self, salon: Salon, one: Notification, phone: str) -> NewMessage:
        return NewMessage(
            phone=phone,
            text=one.text,
            source=Message.Source.OPERATOR,
            external_id=f"{salon.salon_id}:{one.id}",
            category=one.category,
            callback_url=one.callback_url,
            not_before=self._daytime(salon) if one.category == Message.Category.ADDS else None,
            expires_at=self.now + LIFETIMES[Message.Category(one.category)],
        )

    def _daytime(self, salon: Salon) -> datetime | None:
        """When advertising may go out, by the salon's clock."""
        if salon.id not in self._daytimes:
            company = Company.objects.select_related("session").defer(*Company.SECRETS).get(pk=salon.id)
            self._daytimes[salon.id] = self._daytime_of(company)
        return self._daytimes[salon.id]

    def _daytime_of(self, company: Company) -> datetime | None:
        session = company.session
        if session is None:
            return None
        clock.follow(company)
        row = SendingLimits.objects.filter(session=session).first()
        return limits.limits_of(session=session, row=row, now=self.now).adds_wait_until(self.now)
