"""When a visit's reminder is due: planned with the booking, and again when the salon's settings change.

A reminder that is due between 21:00 and 9:00 by the salon's clock is planned for 9:00, or for 21:00 the
evening before if less than two hours would be left before the visit. Who booked after the reminder was due,
or within half an hour of it, gets none.
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from marketplace.bookings import messages, rows, wording
from marketplace.bookings.decisions import MessageOutcome
from marketplace.bookings.visits import Booking
from marketplace.models import Company
from marketplace.models.bookings import BookingSettings, RecordState

DAY_BEGINS, DAY_ENDS = time(9), time(21)
LEFT_IN_THE_MORNING = timedelta(hours=2)
SOONEST = timedelta(minutes=30)


def due_at(*, starts_at: datetime, hours: int, clock: ZoneInfo) -> datetime:
    """When the reminder of a visit goes out, so many hours before it. Pure."""
    due = (starts_at - timedelta(hours=hours)).astimezone(clock)
    if DAY_BEGINS <= due.time() <= DAY_ENDS:
        return due
    day = due.date() if due.time() < DAY_BEGINS else due.date() + timedelta(days=1)
    morning = datetime.combine(day, DAY_BEGINS, clock)
    if starts_at - morning >= LEFT_IN_THE_MORNING:
        return morning
    return datetime.combine(day - timedelta(days=1), DAY_ENDS, clock)


def follow(
    company: Company, row: RecordState, *, before: Booking, after: Booking, settings: BookingSettings
) -> None:
    """Let the reminder follow the booking; the caller saves the row.

    A reminder that waits in the queue of messages is withdrawn when the visit is another one now.
    """
    if _reminder_of(before) == _reminder_of(after):
        return
    if row.reminder_message is not None:
        if messages.outcomes([row.reminder_message])[row.reminder_message] is MessageOutcome.WAITING:
            messages.withdraw([row.reminder_message])
            row.reminded_for = None
        row.reminder_message = None
    if before.phone != after.phone:
        row.reminded_for = None
    plan(company, row, after, settings=settings)


def _reminder_of(booking: Booking) -> tuple[object, ...]:
    visit = booking.visit
    return (visit.starts_at if visit else None, booking.phone, booking.is_expected)


def plan(company: Company, row: RecordState, booking: Booking, *, settings: BookingSettings) -> None:
    """Set when the reminder is due, or that there is none; the caller saves the row."""
    row.reminder_at, row.reminder_attempts, row.reminder_error = None, 0, ""
    visit = booking.visit
    if not (settings.reminder_on and visit and booking.phone and booking.is_expected):
        return
    if row.reminded_for == visit.starts_at:
        return
    due = due_at(starts_at=visit.starts_at, hours=settings.reminder_hours, clock=wording.clock_of(company))
    if due > timezone.now() + SOONEST:
        row.reminder_at = due


def plan_all(*, company: Company) -> int:
    """Plan the reminders of all coming visits anew, after the salon's settings have changed; return how many
    are due now or later. In the caller's transaction, the salon's row locked."""
    settings = wording.settings_of(company)
    coming = RecordState.objects.select_for_update(no_key=True).filter(
        company=company, starts_at__gt=timezone.now(), deleted=False
    )
    changed = []
    planned = 0
    for row in coming.order_by("pk"):
        before = row.reminder_at
        plan(company, row, rows.booking_of(row), settings=settings)
        planned += row.reminder_at is not None
        if row.reminder_at != before:
            changed.append(row)
    columns = ["reminder_at", "reminder_attempts", "reminder_error"]
    RecordState.objects.bulk_update(changed, columns, batch_size=200)
    return planned
