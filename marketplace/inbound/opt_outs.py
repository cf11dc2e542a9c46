"""Clients who want no messages: who they are, and what happens when they say so.

An opt-out covers advertising and everything that we make ourselves of bookings. Service notifications that
YClients sends through us still go out: they are the salon's own word on a visit that the client has booked,
and YClients has its own switch for them. What the client says, he says to a number, so it counts for every
salon that uses the number.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from marketplace.inbound.erased_phones import phone_hash
from marketplace.models import Company, OptOut
from whatsapp.messages import message_queue
from whatsapp.models import Message

log = structlog.get_logger("opt_outs")

ERROR_CODE, ERROR = "opted_out", "the client has opted out"
OWN_SOURCES = (Message.Source.BOOKING, Message.Source.REMINDER)


def opted_out(*, company_ids: Sequence[int], phone: str, everything: bool = False) -> bool:
    """Whether the client wants no advertising from any of the salons; `phone` in digits.

    With `everything` whether he wants no messages about bookings either. One query. Whoever queues a message
    on the answer holds the salon's row locked (`lifecycle.locked`), else an opt-out of this very moment may
    miss the message.
    """
    return bool(opted_out_phones(company_ids=company_ids, phones=[phone], everything=everything))


def opted_out_phones(
    *, company_ids: Sequence[int], phones: Iterable[str], everything: bool = False
) -> set[str]:
    """Return those of the phones for which `opted_out` holds.

    One query, and one for each phone in salons where a client who had opted out was erased.
    """
    asked = set(phones)
    rows = OptOut.objects.filter(
        ~Q(phone_hash="") | Q(phone__in=asked), company_id__in=company_ids, undone_at=None
    )
    if everything:
        rows = rows.filter(scope=OptOut.Scope.EVERYTHING)
    found = list(rows.values_list("phone", "phone_hash"))
    hashes = {hashed for _phone, hashed in found if hashed}
    erased = {phone for phone in asked if phone_hash(phone) in hashes} if hashes else set()
    return erased | {phone for phone, _hash in found if phone}


def row_of(company: Company, phone: str) -> OptOut | None:
    """Return the client's last word to the salon, also after his data was erased."""
    rows = OptOut.objects.filter(company=company)
    row = rows.filter(phone=phone).first()
    if row is None and rows.exclude(phone_hash="").exists():
        row = rows.filter(phone_hash=phone_hash(phone)).first()
    return row


def opt_out(
    *,
    company_ids: Sequence[int],
    phone: str,
    said_by: str = "",
    said_at: datetime | None = None,
    scope: str = OptOut.Scope.EVERYTHING,
) -> bool:
    """Note that the client wants no more messages and end those that wait; True when that changes something.

    `said_by` is empty for the client himself. A wish older than the last one known changes nothing.
    """
    return _change(
        company_ids=company_ids, phone=phone, said_by=said_by, said_at=said_at, scope=OptOut.Scope(scope)
    )


def opt_in(
    *, company_ids: Sequence[int], phone: str, said_by: str = "", said_at: datetime | None = None
) -> bool:
    """Note that the client wants messages again; parameters and result as in `opt_out`."""
    return _change(company_ids=company_ids, phone=phone, said_by=said_by, said_at=said_at, scope=None)


def _change(
    *,
    company_ids: Sequence[int],
    phone: str,
    said_by: str,
    said_at: datetime | None,
    scope: OptOut.Scope | None,
) -> bool:
    said_at = said_at or timezone.now()
    with transaction.atomic():
        companies = _locked(company_ids)
        changed = [
            company
            for company in companies
            if _record(company, phone=phone, said_by=said_by[:150], said_at=said_at, scope=scope)
        ]
        ended = _end_waiting(changed, phone=phone, scope=scope) if scope else 0
    if changed:
        log.info(
            "client opted out" if scope else "client opted in",
            salons=[company.salon_id for company in changed],
            phone=phone,
            by="support" if said_by else "client",
            ended=ended,
        )
    return bool(changed)


def _locked(company_ids: Sequence[int]) -> list[Company]:
    """Lock the salons in one order: whoever takes messages for them has them locked too, so none of those
    is taken past the opt-out."""
    rows = Company.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=company_ids)
    return list(rows.only("pk", "salon_id", "session_id").order_by("pk"))


def _record(
    company: Company, *, phone: str, said_by: str, said_at: datetime, scope: OptOut.Scope | None
) -> bool:
    """Record what the client wants; True when it changes what he gets."""
    row = row_of(company, phone)
    held = row.scope if row and row.holds else None
    if row is None and scope is None:
        return False
    if row is not None and row.said_at > said_at:
        return False
    row = row or OptOut(company=company, phone=phone)
    row.said_at, row.said_by = said_at, said_by
    row.phone, row.phone_hash = phone, ""  # he is a client again, who has just said something
    row.scope = scope or row.scope
    row.undone_at = None if scope else (row.undone_at or said_at)
    row.save()
    return held != scope


def _end_waiting(companies: Sequence[Company], *, phone: str, scope: OptOut.Scope) -> int:
    """End what waits for the client and is covered; return how many messages it was."""
    sessions = {company.session_id for company in companies if company.session_id}
    covered = Q(category=Message.Category.ADDS)
    if scope == OptOut.Scope.EVERYTHING:
        covered |= Q(source__in=OWN_SOURCES)
    waiting = Message.objects.filter(
        covered, session_id__in=sessions, phone=phone, direction=Message.Direction.OUT
    )
    return message_queue.finish_waiting(waiting, error_code=ERROR_CODE, error=ERROR) if sessions else 0
