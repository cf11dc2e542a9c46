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
from marketplace.notifications.senders import Sender
from marketplace.salons import clock, phone_numbers
from whatsapp.messages import limits
from whatsapp.messages.message_queue import NewMessage
from whatsapp.models import Message, SendingLimits, Session

# After this time the message is not worth sending: a reminder comes too late, a mailing is stale.
LIFETIMES = {Message.Category.SERVICE: timedelta(hours=3), Message.Category.ADDS: timedelta(hours=24)}
SERVED = (Company.Status.ACTIVE, Company.Status.ACTIVATING)


@dataclass(frozen=True, slots=True)
class Planned:
    """A notification that will be stored as `message`; `id` is YClients' own."""

    id: str
    company: Company
    session: Session
    message: NewMessage


@dataclass(slots=True)
class Planner:
    """Plans the notifications of one transaction, in which `salons`, by their numbers there, are locked."""

    salons: Mapping[int, Company]
    now: datetime = field(default_factory=lambda: timezone.now())
    _daytimes: dict[int, datetime | None] = field(default_factory=dict)

    def plan(self, sender: Sender, one: Notification) -> Planned | Refusal:
        """Return what becomes of a notification of this sender."""
        if sender.salon_id is None and one.salon_id is None:
            return Refusal(one.id, Code.BAD_TOKEN, _("The message does not name its salon."))
        if sender.salon_id is not None and one.salon_id not in (None, sender.salon_id):
            return Refusal(one.id, Code.FORBIDDEN, _("This key may not send for another salon."))
        company = self.salons.get(sender.salon_id or one.salon_id or 0)
        if company is not None and company.status == Company.Status.FROZEN:
            words = _("The salon's subscription is not paid: sending is stopped.")
            return Refusal(one.id, Code.NO_FUNDS, words)
        if company is None or company.status not in SERVED or company.session is None:
            return Refusal(one.id, Code.NOT_FOUND, _("This salon has no WhatsApp here."))
        try:
            phone = phone_numbers.digits_for_salon(one.phone, company)
        except phone_numbers.NotAPhone as error:
            return Refusal(one.id, Code.BAD_FIELD, str(error))
        return Planned(one.id, company, company.session, self._message(company, one, phone))

    def _message(self, company: Company, one: Notification, phone: str) -> NewMessage:
        return NewMessage(
            phone=phone,
            text=one.text,
            source=Message.Source.OPERATOR,
            external_id=f"{company.salon_id}:{one.id}",
            category=one.category,
            callback_url=one.callback_url,
            not_before=self._daytime(company) if one.category == Message.Category.ADDS else None,
            expires_at=self.now + LIFETIMES[Message.Category(one.category)],
        )

    def _daytime(self, company: Company) -> datetime | None:
        """When advertising may go out, by the salon's clock."""
        if company.pk not in self._daytimes and company.session is not None:
            clock.follow(company)
            row = SendingLimits.objects.filter(session=company.session).first()
            found = limits.limits_of(session=company.session, row=row, now=self.now)
            self._daytimes[company.pk] = found.adds_wait_until(self.now)
        return self._daytimes.get(company.pk)
