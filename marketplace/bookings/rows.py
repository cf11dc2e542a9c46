"""A booking as it is stored in its row."""

from datetime import UTC, datetime
from typing import Any

from marketplace.bookings.visits import Booking, SentNotice, Visit
from marketplace.models.booking_kinds import Kind
from marketplace.models.bookings import RecordState


def booking_of(row: RecordState) -> Booking:
    """Return what the row holds."""
    known = None if row.told is None else {phone: _visit(stored) for phone, stored in row.told.items()}
    notices = tuple(
        SentNotice(each["message"], Kind(each["kind"]), each["phone"], _visit(each["visit"]))
        for each in row.said
    )
    return Booking(fields=row.seen, known=known, assumed=row.assumed_phone, notices=notices)


def update(row: RecordState, booking: Booking) -> None:
    """Set the row's columns; the caller saves it."""
    known = booking.known
    row.seen = booking.fields
    row.told = None if known is None else {phone: _stored(visit) for phone, visit in known.items()}
    row.assumed_phone = booking.assumed
    row.said = [
        {"message": one.message, "kind": str(one.kind), "phone": one.phone, "visit": _stored(one.visit)}
        for one in booking.notices
    ]
    visit = booking.visit
    row.starts_at = visit.starts_at.astimezone(UTC) if visit else None
    row.deleted = booking.deleted
    row.phone = booking.phone


def _stored(visit: Visit) -> dict[str, Any]:
    return {
        "start": visit.starts_at.isoformat(),
        "services": visit.services,
        "staff": visit.staff,
        "client_id": visit.client_id,
        "client": visit.client,
    }


def _visit(stored: dict[str, Any]) -> Visit:
    services, staff = stored["services"], stored["staff"]
    return Visit(
        starts_at=datetime.fromisoformat(stored["start"]),
        services=None if services is None else tuple((number, title) for number, title in services),
        staff=None if staff is None else (staff[0], staff[1]),
        client_id=stored["client_id"],
        client=stored["client"],
    )
