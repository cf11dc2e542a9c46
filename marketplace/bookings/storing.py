"""A booking in its row, and out of it."""

from datetime import UTC, datetime
from typing import Any

from marketplace.bookings.visits import Booking, SentNotice, Visit
from marketplace.models.booking_kinds import Kind
from marketplace.models.bookings import RecordState


def booking_of(row: RecordState) -> Booking:
    """Return what the row says."""
    told = None if row.told is None else {phone: _visit(kept) for phone, kept in row.told.items()}
    said = tuple(
        SentNotice(each["message"], Kind(each["kind"]), each["phone"], _visit(each["visit"]))
        for each in row.said
    )
    return Booking(seen=row.seen, told=told, assumed=row.assumed_phone, said=said)


def put_into(row: RecordState, booking: Booking) -> None:
    """Set the row's columns; the caller saves it."""
    row.seen = booking.seen
    row.told = None if booking.told is None else {phone: _kept(each) for phone, each in booking.told.items()}
    row.assumed_phone = booking.assumed
    row.said = [
        {"message": one.message, "kind": str(one.kind), "phone": one.phone, "visit": _kept(one.visit)}
        for one in booking.said
    ]
    visit = booking.visit
    row.starts_at = visit.starts_at.astimezone(UTC) if visit else None
    row.deleted = booking.deleted
    row.phone = booking.phone


def _kept(visit: Visit) -> dict[str, Any]:
    return {
        "start": visit.starts_at.isoformat(),
        "services": visit.services,
        "staff": visit.staff,
        "client_id": visit.client_id,
        "client": visit.client,
    }


def _visit(kept: dict[str, Any]) -> Visit:
    services, staff = kept["services"], kept["staff"]
    return Visit(
        starts_at=datetime.fromisoformat(kept["start"]),
        services=None if services is None else tuple((number, title) for number, title in services),
        staff=None if staff is None else (staff[0], staff[1]),
        client_id=kept["client_id"],
        client=kept["client"],
    )
