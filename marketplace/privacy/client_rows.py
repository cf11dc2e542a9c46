"""Where the personal data of one client is: every table that holds a phone, a name or a text of his."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast

from marketplace.inbound.erased_phones import phone_hash
from marketplace.models import InboundWebhook, OptOut, RecordState
from marketplace.models.forwarding import ForwardedMessage
from whatsapp.models import Conversation, KnownNumber, MediaFile, Message, Session

LONGEST_NATIONAL = 10  # digits; a webhook may have the phone with +7, 8 or nothing before them


@dataclass(frozen=True, slots=True)
class ClientRows:
    """The rows about one phone (digits with the country code), in all salons or in one (`salon_id`)."""

    phone: str
    salon_id: int | None = None

    def messages(self) -> QuerySet[Message]:
        """What was sent to him and what he wrote; what he wrote without a phone is found by his LID."""
        return self._of_number(Message.objects.filter(self._his()))

    def messages_with_places(self) -> QuerySet[Message]:
        """The messages in their order, each with the place that it names."""
        return self.messages().select_related("location").defer("callback_url").order_by("pk")

    def files(self) -> QuerySet[MediaFile]:
        """Files that he sent or was sent, and nobody else: not the picture of a salon's texts."""
        others = Message.objects.filter(media=OuterRef("pk")).exclude(self._his())
        kept = MediaFile.objects.exclude(state=MediaFile.State.REMOVED)
        return kept.filter(
            Exists(self.messages().filter(media=OuterRef("pk"))), ~Exists(others), pinned=False
        )

    def conversations(self) -> QuerySet[Conversation]:
        """That he has written to a salon's number, and when."""
        return self._of_number(Conversation.objects.filter(self._his()))

    def forwarded(self) -> QuerySet[ForwardedMessage]:
        """Copies of his messages on their way to salons' own addresses."""
        return ForwardedMessage.objects.filter(message__in=self.messages())

    def bookings(self) -> QuerySet[RecordState]:
        """Bookings that he made, or that he was told of."""
        rows = RecordState.objects.annotate(
            told_text=Cast("told", TextField()), said_text=Cast("said", TextField())
        )
        return self._of_salon(
            rows.filter(
                Q(phone=self.phone)
                | Q(assumed_phone=self.phone)
                | Q(told_text__contains=f'"{self.phone}"')
                | Q(said_text__contains=f'"{self.phone}"')
            )
        )

    def webhooks(self) -> QuerySet[InboundWebhook]:
        """Kept webhooks that name his phone, or one of his bookings."""
        rows = InboundWebhook.objects.annotate(body_text=Cast("body", TextField()))
        named = Q(body_text__contains=self.phone[-LONGEST_NATIONAL:])
        for salon_id, record_id in self.bookings().values_list("company__salon_id", "record_id"):
            named |= Q(salon_id=salon_id, name__startswith="record", body__resource_id=record_id)
        rows = rows.filter(named, kind=InboundWebhook.Kind.ENTITY)
        return rows if self.salon_id is None else rows.filter(salon_id=self.salon_id)

    def opt_outs(self) -> QuerySet[OptOut]:
        """His words on what he wants, also when a hash stands for his phone already."""
        rows = OptOut.objects.filter(Q(phone=self.phone) | Q(phone_hash=phone_hash(self.phone)))
        return self._of_salon(rows)

    def numbers(self, *, everywhere: bool = False) -> QuerySet[KnownNumber]:
        """What WhatsApp said of the number, which belongs to no salon."""
        rows = KnownNumber.objects.filter(phone=self.phone)
        return rows if everywhere or self.salon_id is None else rows.none()

    def _his(self) -> Q:
        lids = [lid for lid in self.numbers(everywhere=True).values_list("lid", flat=True) if lid]
        # Without an empty LID the index over those few rows that have no phone answers.
        return Q(phone=self.phone) | (Q(phone="", lid__in=lids) & ~Q(lid=""))

    def _of_number(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        if self.salon_id is None:
            return rows
        return rows.filter(session__in=Session.objects.filter(companies__salon_id=self.salon_id))

    def _of_salon(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows if self.salon_id is None else rows.filter(company__salon_id=self.salon_id)
