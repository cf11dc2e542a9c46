"""When a visit's reminder is due: planned with the booking, and again when the salon's settings change.

A visit may have several, so many hours before it; the row holds when the next one is due. One that would be
due in the quiet hours is planned for their end, or for their beginning if less than two hours would be left
before the visit. Who booked after a reminder was due, or within half an hour of it, does not get that one.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from marketplace.bookings import messages, quiet_hours, rows, wording
from marketplace.bookings.decisions import MessageOutcome
from marketplace.bookings.quiet_hours import QuietHours
from marketplace.bookings.visits import Booking
from marketplace.models import Company
from marketplace.models.bookings import BookingSettings, RecordState

LEFT_IN_THE_MORNING = timedelta(hours=2)
SOONEST = timedelta(minutes=30)


def due_at(*, starts_at: datetime, hours: int, clock: ZoneInfo, quiet: QuietHours) -> datetime:
    """When the reminder of a visit goes out, so many hours before it. Pure."""
    due = (starts_at - timedelta(hours=hours)).astimezone(clock)
    morning = quiet.end_after(due, clock=clock)
    if morning is None or due.time() == quiet.begins:
        return due
    if starts_at - morning >= LEFT_IN_THE_MORNING:
        return morning
    return quiet.begin_before(due, clock=clock)


def next_due(
    *, starts_at: datetime, hours: list[int], clock: ZoneInfo, quiet: QuietHours, now: datetime
) -> datetime | None:
    """When the next of a visit's reminders goes out; None when there is none any more. Pure."""
    due = (due_at(starts_at=starts_at, hours=each, clock=clock, quiet=quiet) for each in hours)
    return min((moment for moment in due if moment > now + SOONEST), default=None)


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
            row.reminded_for, row.reminders_given = None, 0
        row.reminder_message = None
    if before.phone != after.phone:
        row.reminded_for, row.reminders_given = None, 0
    plan(company, row, after, settings=settings)


def _reminder_of(booking: Booking) -> tuple[object, ...]:
    visit = booking.visit
    return (visit.starts_at if visit else None, booking.phone, booking.is_expected)


def plan(company: Company, row: RecordState, booking: Booking, *, settings: BookingSettings) -> None:
    """Set when the next reminder is due, or that there is none; the caller saves the row."""
    row.reminder_at = next_reminder(company, row, booking, settings=settings)
    row.reminder_attempts, row.reminder_error = 0, ""


def next_reminder(
    company: Company, row: RecordState, booking: Booking, *, settings: BookingSettings
) -> datetime | None:
    """When the booking's next reminder is due; None when there is none."""
    visit = booking.visit
    if not (settings.reminder_on and visit and booking.phone and booking.is_expected):
        return None
    # New settings do not make a reminder that was given due again.
    return next_due(
        starts_at=visit.starts_at,
        hours=settings.all_reminder_hours[row.given_for(visit.starts_at) :],
        clock=wording.clock_of(company),
        quiet=quiet_hours.quiet_hours_of(settings),
        now=timezone.now(),
    )


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
