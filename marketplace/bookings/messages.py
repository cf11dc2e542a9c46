"""Messages about bookings in the queue: queued, looked up, withdrawn. In the caller's transaction.

The caller holds the salon's row locked, so that neither a freeze nor an opt-out is slipped past.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from marketplace.bookings import wording
from marketplace.bookings.decisions import MessageOutcome
from marketplace.bookings.visits import NewNotice, SentNotice
from marketplace.inbound import opt_outs
from marketplace.models import Company
from marketplace.models.booking_kinds import Kind
from marketplace.models.bookings import RecordState
from marketplace.salons import sending
from marketplace.salons.phone_numbers import digits_for_salon
from whatsapp.messages import message_queue
from whatsapp.models import Message

# What is older than this is not sent any more; in any case nothing is sent once the visit has begun.
WORTH_SAYING = timedelta(hours=24)
WORTH_TRYING = timedelta(hours=1)
SUPERSEDED, CHANGED = "superseded", "the booking has changed since"
LOST = (Message.Status.FAILED, Message.Status.EXPIRED)


class NotServed(Exception):
    """The salon is not active, or has no linked device to send with."""


def is_served(company: Company) -> bool:
    """Whether the salon may send, and has a linked device to send with."""
    try:
        sending.session_of(company)
    except sending.CannotSend:
        return False
    return True


def has_opted_out(company: Company, phone: str) -> bool:
    """Whether the client has opted out of messages about bookings, at any salon of the same number."""
    salons = Company.objects.filter(session=company.session_id).values_list("pk", flat=True)
    return opt_outs.opted_out(company_ids=list(salons), phone=phone, everything=True)


def outcomes(keys: Iterable[int]) -> Mapping[int, MessageOutcome]:
    """What became of these messages, their rows locked: none of those that wait leaves before the commit.

    One whose outcome is in doubt may have arrived. So may one whose row is gone.
    """
    wanted = list(keys)
    rows = Message.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    found = {
        pk: _outcome(status, unknowns)
        for pk, status, unknowns in rows.values_list("pk", "status", "unknowns")
    }
    return {pk: found.get(pk, MessageOutcome.REACHED) for pk in wanted}


def _outcome(status: str, unknowns: int) -> MessageOutcome:
    if status == Message.Status.QUEUED and not unknowns:
        return MessageOutcome.WAITING
    return MessageOutcome.LOST if status in LOST else MessageOutcome.REACHED


def withdraw(keys: Iterable[int]) -> int:
    """Withdraw what still waits; return how many messages."""
    waiting = Message.objects.filter(pk__in=list(keys))
    return message_queue.finish_waiting(waiting, error_code=SUPERSEDED, error=CHANGED)


def queue(
    company: Company,
    row: RecordState,
    notice: NewNotice,
    *,
    language: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> SentNotice:
    """Queue one message. Counts it in `row`, which the caller saves.

    The salon is served (`is_served`).
    """
    if company.session is None:
        raise ValueError(f"salon {company.salon_id} has no session")
    kind, visit = notice.kind, notice.visit
    text = wording.text_of(company, kind=kind, visit=visit, language=language, now=now)
    row.messages_made += 1
    new = message_queue.NewMessage(
        phone=notice.phone,
        text=text,
        media_id=wording.media_of(company, kind=kind, caption=text),
        source=Message.Source.REMINDER if kind == Kind.REMINDER else Message.Source.BOOKING,
        # The count makes every change of a booking one message, also when it is changed back.
        external_id=f"{company.salon_id}:{row.record_id}:{row.messages_made}:{kind}",
        expires_at=expires_at or min(visit.starts_at, now + WORTH_SAYING),
    )
    message = message_queue.queue_message(session=company.session, message=new)
    return SentNotice(message.pk, kind, notice.phone, visit)


def send_test(*, company: Company, kind: Kind, phone: str, name: str, now: datetime) -> Message:
    """Queue a message about a made-up visit, in the words that are stored, to a phone in any form.

    The same `name` is sent once. Raises NotServed, phone_numbers.NotAPhone.
    """
    if not is_served(company) or company.session is None:
        raise NotServed(f"salon {company.salon_id}")
    language = wording.settings_of(company).language
    visit = wording.sample(company, language=language, now=now)
    text = wording.text_of(company, kind=kind, visit=visit, language=language, now=now)
    new = message_queue.NewMessage(
        phone=digits_for_salon(phone, company),
        text=text,
        media_id=wording.media_of(company, kind=kind, caption=text),
        source=Message.Source.TEST,
        external_id=f"{company.salon_id}:{name}:{kind}",
        expires_at=now + WORTH_TRYING,
    )
    return message_queue.queue_message(session=company.session, message=new)
