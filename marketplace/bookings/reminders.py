"""Reminders before a visit. The booking's row is the queue: `reminder_at` says when it is due.

A reminder that is due between 21:00 and 9:00 by the salon's clock is planned for 9:00, or for 21:00 the
evening before if less than two hours would be left before the visit. Who booked after the reminder was due,
or within half an hour of it, gets none. What becomes due while no worker runs is not sent in the quiet hours
(22:00 to 8:00 by the salon's clock) either: it waits for their end.
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import structlog
from django.db import transaction
from django.utils import timezone

from config.shared.masking import mask_traceback
from config.shared.queue import Queue
from marketplace.bookings import messages, rows, wording
from marketplace.bookings.decisions import MessageOutcome
from marketplace.bookings.visits import Booking, NewNotice
from marketplace.models import Company
from marketplace.models.booking_kinds import Kind
from marketplace.models.bookings import BookingSettings, RecordState
from whatsapp.messages import limits

log = structlog.get_logger("bookings")

DAY_BEGINS, DAY_ENDS = time(9), time(21)
LEFT_IN_THE_MORNING = timedelta(hours=2)
SOONEST = timedelta(minutes=30)
# A reminder that is later than this is not sent, but kept as too late.
WORTH_SAYING = timedelta(hours=3)
QUIET_FROM, QUIET_UNTIL = time(22), time(8)
MAX_TRACEBACK = 4000
REMINDERS = Queue(
    name="reminders",
    model=RecordState,
    due_at="reminder_at",
    attempts="reminder_attempts",
    error="reminder_error",
    lease=timedelta(minutes=1),
    first=2.0,
    longest=600.0,
)


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


def send_due(row_id: int) -> bool:
    """Queue one due reminder; True when there was something to say.

    A failure is kept in the row with its traceback and tried again until the visit begins.
    """
    row = None
    try:
        with transaction.atomic():
            company = _company_of(row_id)
            row = REMINDERS.lock(row_id)
            return company is not None and row is not None and _send(company, row, now=timezone.now())
    except Exception as error:
        if row is None:
            raise
        _record_failure(row, error)
        return False


def _send(company: Company, row: RecordState, *, now: datetime) -> bool:
    due = row.reminder_at or now
    quiet_until = limits.opens_at(now, zone=wording.clock_of(company), opens=QUIET_UNTIL, closes=QUIET_FROM)
    queued = quiet_until is None and _queue(company, row, due=due, now=now)
    REMINDERS.finish(
        row,
        reminder_at=quiet_until,
        reminder_attempts=0,
        reminder_error="" if queued else row.reminder_error,  # why there was none in time stays to be seen
        reminder_message=row.reminder_message,
        reminded_for=row.reminded_for,
        messages_made=row.messages_made,
        updated_at=now,
    )
    return queued


def _company_of(row_id: int) -> Company | None:
    """The booking's salon, locked before the booking, as a webhook does."""
    salons = Company.objects.select_for_update(of=("self",), no_key=True).select_related("session")
    return salons.filter(records=row_id).first()


def _queue(company: Company, row: RecordState, *, due: datetime, now: datetime) -> bool:
    settings, booking = wording.settings_of(company), rows.booking_of(row)
    visit = booking.visit
    if not (settings.reminder_on and visit and booking.phone and booking.is_expected):
        return False
    if visit.starts_at <= now or not messages.is_served(company):
        return False
    if messages.has_opted_out(company, booking.phone):
        return False
    reminder = messages.queue(
        company,
        row,
        NewNotice(Kind.REMINDER, booking.phone, visit),
        language=settings.language,
        now=now,
        expires_at=min(visit.starts_at, due + WORTH_SAYING, _quiet_from(company, now)),
    )
    row.reminder_message = reminder.message
    row.reminded_for = visit.starts_at
    return True


def _quiet_from(company: Company, now: datetime) -> datetime:
    """When the next quiet hours begin: no reminder that still waits in the queue then is sent."""
    local = now.astimezone(wording.clock_of(company))
    tonight = datetime.combine(local.date(), QUIET_FROM, local.tzinfo)
    return tonight if tonight > now else tonight + timedelta(days=1)


def _record_failure(row: RecordState, error: Exception) -> None:
    """Once the visit begins the row stays as it is, with the error, and is not tried any more."""
    begun = row.starts_at is None or row.starts_at <= timezone.now()
    REMINDERS.retry(row, error=mask_traceback(error, most=MAX_TRACEBACK), count=True, give_up=begun)
    log.warning("reminder failed", record=row.record_id, given_up=begun, cause=repr(error))
