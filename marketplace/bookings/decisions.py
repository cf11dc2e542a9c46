"""Which messages a client is to get about a booking. Pure.

For each booking two things are stored: how it stands, each field as it was last changed, so that the order in
which webhooks arrive does not matter; and what each phone knows of it, by the messages that have left the
queue. The difference is what has to be sent. A message that still waits is replaced when the booking changes
meanwhile, so the client gets the latest state once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import Any

from marketplace.bookings.records import RecordChange
from marketplace.bookings.visits import Booking, Fields, NewNotice, SentNotice, Visit
from marketplace.models.booking_kinds import Kind

Known = Mapping[str, Visit]  # by phone


class MessageOutcome(Enum):
    """What became of a message: waits; the client has it, or may have it; ended without reaching him."""

    WAITING = auto()
    REACHED = auto()
    LOST = auto()


@dataclass(frozen=True, slots=True)
class Decision:
    """The booking afterwards, the waiting messages to withdraw, the messages to queue."""

    booking: Booking
    withdraw: tuple[SentNotice, ...] = ()
    queue: tuple[NewNotice, ...] = ()


def decide(
    booking: Booking,
    change: RecordChange,
    *,
    outcomes: Mapping[int, MessageOutcome],
    may: Callable[[Kind, str], bool],
    now: datetime,
) -> Decision:
    """Return what one more webhook leads to.

    `outcomes` has every message of `booking.notices`; `may(kind, phone)` is whether the salon and the client
    want such a message: what may not be sent, the client is assumed to know from elsewhere.
    """
    known, assumed = _known_by_now(booking, outcomes)
    if change.is_create:
        known = {phone: visit for phone, visit in (known or {}).items() if phone != assumed}
        assumed = ""
    booking = replace(booking, fields=merged(booking.fields, change), known=known, assumed=assumed)
    waiting = [one for one in booking.notices if outcomes[one.message] is MessageOutcome.WAITING]
    lost = [one for one in booking.notices if outcomes[one.message] is MessageOutcome.LOST]
    if known is None:
        return Decision(_assuming(booking))
    known, wanted = _compare(booking, known, now)
    kept: list[SentNotice] = []
    queue: list[NewNotice] = []
    for each in wanted:
        if same := [one for one in waiting if each.replaces(one) and each.visit == one.visit]:
            kept += same
        elif any(each.replaces(one) and not each.visit.differs_from(one.visit) for one in lost):
            continue  # it did not arrive, and would not now
        elif may(each.kind, each.phone):
            queue.append(each)
        else:
            known = _after(known, each.kind, each.phone, each.visit)
    written_to = {each.phone for each in queue}
    still_lost = (one for one in lost if one.phone not in written_to)
    return Decision(
        replace(booking, known=known, notices=(*kept, *still_lost)),
        withdraw=tuple(one for one in waiting if one not in kept),
        queue=tuple(queue),
    )


def merged(fields: Fields, change: RecordChange) -> Fields:
    """Each field as it was last changed, whatever the order of arrival; a repeat changes nothing."""
    result = dict(fields)
    stamp = (change.stamp.at, change.stamp.rank)
    for name, value in change.fields.items():
        if name not in fields:
            result[name] = [value, *stamp]
            continue
        before, *stamp_before = fields[name]
        if stamp > tuple(stamp_before):
            result[name] = [_named_as(before, value) if name == "staff" else value, *stamp]
        elif name == "staff":
            result[name] = [_named_as(value, before), *stamp_before]
    return result


def _named_as(other: list[Any], staff: list[Any]) -> list[Any]:
    """A partial webhook has the number alone: the name may be known from another one."""
    return other if staff[0] == other[0] and not staff[1] else staff


def _known_by_now(booking: Booking, outcomes: Mapping[int, MessageOutcome]) -> tuple[Known | None, str]:
    known, assumed = booking.known, booking.assumed
    for one in booking.notices:
        if outcomes[one.message] is MessageOutcome.REACHED:
            known = _after(known or {}, one.kind, one.phone, one.visit)
            assumed = "" if one.phone == assumed else assumed
    return known, assumed


def _after(known: Known, kind: Kind, phone: str, visit: Visit) -> Known:
    """What is known once this phone has such a message."""
    others = {other: seen for other, seen in known.items() if other != phone}
    return others if kind == Kind.CANCELLED else {**others, phone: visit}


def _assuming(booking: Booking) -> Booking:
    """The making was not seen: YClients or the salon has told the client, as far as anybody can know."""
    if booking.visit is None or not booking.phone or booking.deleted:
        return booking
    return replace(booking, known={booking.phone: booking.visit}, assumed=booking.phone)


def _compare(booking: Booking, known: Known, now: datetime) -> tuple[Known, tuple[NewNotice, ...]]:
    """What each phone knows beside how the booking stands; a visit that is past by now causes no message.

    A booking that has lost its client or his phone causes none: a false cancellation would be worse. With
    another client it is cancelled for the first and new for the second; another phone of the same client is
    written to as if it were new, and the old one is left alone.
    """
    visit = booking.visit
    if visit is None or (not booking.deleted and not booking.phone):
        return known, ()
    wanted = []
    for phone, before in tuple(known.items()):
        if not booking.deleted and phone == booking.phone:
            if visit.differs_from(before):
                wanted.append(NewNotice(Kind.MOVED, phone, visit))
            else:
                known = _after(known, Kind.CREATED, phone, visit)  # what was not known at first
        elif booking.deleted or _are_two(visit.client_id, before.client_id):
            wanted.append(NewNotice(Kind.CANCELLED, phone, before))
        else:
            known = _after(known, Kind.CANCELLED, phone, before)
    if not booking.deleted and booking.phone not in known:
        wanted.append(NewNotice(Kind.CREATED, booking.phone, visit))
    for each in wanted:
        if each.visit.starts_at <= now:
            known = _after(known, each.kind, each.phone, each.visit)
    return known, tuple(each for each in wanted if each.visit.starts_at > now)


def _are_two(client_id: int | None, other: int | None) -> bool:
    return client_id is not None and other is not None and client_id != other
