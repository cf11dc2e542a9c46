"""What a client is to be told of a booking. Pure.

For each booking two things are kept: how it stands, each field as it was last changed, so that the order in
which webhooks arrive does not matter; and what each phone knows of it, by the messages that have left the
queue. The difference is what is to be said. A message that still waits is replaced when the booking goes on
meanwhile, so the client gets the latest state once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import Any

from marketplace.bookings.records import RecordChange
from marketplace.bookings.visits import Booking, Seen, SentNotice, Visit, Wanted
from marketplace.models.booking_kinds import Kind


class MessageOutcome(Enum):
    """What became of a message: waits; the client has it, or may have it; ended without reaching him."""

    WAITING = auto()
    TOLD = auto()
    LOST = auto()


@dataclass(frozen=True, slots=True)
class Decision:
    """The booking afterwards, the waiting messages to withdraw, the messages to make."""

    booking: Booking
    withdraw: tuple[SentNotice, ...] = ()
    make: tuple[Wanted, ...] = ()


def decide(
    booking: Booking,
    heard: RecordChange,
    *,
    outcomes: Mapping[int, MessageOutcome],
    may: Callable[[Kind, str], bool],
    now: datetime,
) -> Decision:
    """Return what one more webhook leads to.

    `fates` has every message of `booking.said`; `may(kind, phone)` says whether such a message is wanted by
    the salon and by the client: what may not be said, the client is taken to know from elsewhere.
    """
    told, assumed = _told_by_now(booking, outcomes)
    if heard.is_create:
        told = {phone: visit for phone, visit in (told or {}).items() if phone != assumed}
        assumed = ""
    booking = replace(booking, seen=merged(booking.seen, heard), told=told, assumed=assumed)
    waiting = [one for one in booking.said if outcomes[one.message] is MessageOutcome.WAITING]
    lost = [one for one in booking.said if outcomes[one.message] is MessageOutcome.LOST]
    if told is None:
        return Decision(_assuming(booking))
    told, wanted = _compare(booking, told, now)
    kept: list[SentNotice] = []
    make: list[Wanted] = []
    for each in wanted:
        if same := [one for one in waiting if each.is_for_the_same(one) and each.visit == one.visit]:
            kept += same
        elif any(each.is_for_the_same(one) and not each.visit.differs_from(one.visit) for one in lost):
            continue  # it did not arrive, and would not now
        elif may(each.kind, each.phone):
            make.append(each)
        else:
            told = _knowing(told, each.kind, each.phone, each.visit)
    written_to = {each.phone for each in make}
    still_lost = (one for one in lost if one.phone not in written_to)
    return Decision(
        replace(booking, told=told, said=(*kept, *still_lost)),
        withdraw=tuple(one for one in waiting if one not in kept),
        make=tuple(make),
    )


def merged(seen: Seen, heard: RecordChange) -> Seen:
    """Each field as it was last changed, whatever the order of arrival; a repeat changes nothing."""
    result = dict(seen)
    stamp = (heard.stamp.at, heard.stamp.rank)
    for name, value in heard.fields.items():
        if name not in seen:
            result[name] = [value, *stamp]
            continue
        known, *known_stamp = seen[name]
        if stamp > tuple(known_stamp):
            result[name] = [_named_as(known, value) if name == "staff" else value, *stamp]
        elif name == "staff":
            result[name] = [_named_as(value, known), *known_stamp]
    return result


def _named_as(other: list[Any], staff: list[Any]) -> list[Any]:
    """A partial webhook has the number alone: the name may be known from another one."""
    return other if staff[0] == other[0] and not staff[1] else staff


def _told_by_now(
    booking: Booking, outcomes: Mapping[int, MessageOutcome]
) -> tuple[Mapping[str, Visit] | None, str]:
    told, assumed = booking.told, booking.assumed
    for one in booking.said:
        if outcomes[one.message] is MessageOutcome.TOLD:
            told = _knowing(told or {}, one.kind, one.phone, one.visit)
            assumed = "" if one.phone == assumed else assumed
    return told, assumed


def _knowing(told: Mapping[str, Visit], kind: Kind, phone: str, visit: Visit) -> Mapping[str, Visit]:
    others = {known: seen for known, seen in told.items() if known != phone}
    return others if kind == Kind.CANCELLED else {**others, phone: visit}


def _assuming(booking: Booking) -> Booking:
    """The making was not seen: YClients or the salon has told the client, as far as anybody can know."""
    if booking.visit is None or not booking.phone or booking.deleted:
        return booking
    return replace(booking, told={booking.phone: booking.visit}, assumed=booking.phone)


def _compare(
    booking: Booking, told: Mapping[str, Visit], now: datetime
) -> tuple[Mapping[str, Visit], tuple[Wanted, ...]]:
    """What each phone knows beside how the booking stands; what is past by now is not spoken of.

    A booking that has lost its client or his phone says nothing: a false cancellation would be worse. With
    another client it is cancelled for the first and new for the second; another phone of the same client is
    written to as if it were new, and the old one is left alone.
    """
    visit = booking.visit
    if visit is None or (not booking.deleted and not booking.phone):
        return told, ()
    wanted = []
    for phone, known in tuple(told.items()):
        if not booking.deleted and phone == booking.phone:
            if visit.differs_from(known):
                wanted.append(Wanted(Kind.MOVED, phone, visit))
            else:
                told = _knowing(told, Kind.CREATED, phone, visit)  # what was not known at first
        elif booking.deleted or _are_two(visit.client_id, known.client_id):
            wanted.append(Wanted(Kind.CANCELLED, phone, known))
        else:
            told = _knowing(told, Kind.CANCELLED, phone, known)
    if not booking.deleted and booking.phone not in told:
        wanted.append(Wanted(Kind.CREATED, booking.phone, visit))
    for each in wanted:
        if each.visit.starts_at <= now:
            told = _knowing(told, each.kind, each.phone, each.visit)
    return told, tuple(each for each in wanted if each.visit.starts_at > now)


def _are_two(client_id: int | None, other: int | None) -> bool:
    return client_id is not None and other is not None and client_id != other
