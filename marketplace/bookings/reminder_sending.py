"""Sends the reminders that are due. The booking's row is the queue: `reminder_at` says when it is.

What becomes due while no worker runs is not sent in the salon's quiet hours, once an hour of them is over: it
waits for their end. After one reminder of a visit the next one is planned.
"""

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from config.shared.masking import mask_traceback
from config.shared.queue import Queue
from marketplace.bookings import messages, quiet_hours, reminders, rows, wording
from marketplace.bookings.visits import NewNotice
from marketplace.models import Company
from marketplace.models.booking_kinds import Kind
from marketplace.models.bookings import BookingSettings, RecordState

log = structlog.get_logger("bookings")

# A reminder that is later than this is not sent, but kept as too late.
WORTH_SAYING = timedelta(hours=3)
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
    settings, clock = wording.settings_of(company), wording.clock_of(company)
    quiet = quiet_hours.quiet_hours_of(settings).after_grace()
    # The row's own time is its claim until `finish`.
    next_at = quiet.end_after(now, clock=clock)
    queued = False
    if next_at is None:
        # No reminder that still waits in the queue when the quiet hours begin is sent.
        latest = min(due + WORTH_SAYING, quiet.begin_after(now, clock=clock))
        queued = _queue(company, row, settings=settings, latest=latest, now=now)
        next_at = reminders.next_reminder(company, row, rows.booking_of(row), settings=settings)
    REMINDERS.finish(
        row,
        reminder_at=next_at,
        reminder_attempts=0,
        reminder_error="" if queued else row.reminder_error,  # why there was none in time stays to be seen
        reminder_message=row.reminder_message,
        reminded_for=row.reminded_for,
        reminders_given=row.reminders_given,
        messages_made=row.messages_made,
        updated_at=now,
    )
    return queued


def _company_of(row_id: int) -> Company | None:
    """The booking's salon, locked before the booking, as a webhook does."""
    salons = Company.objects.select_for_update(of=("self",), no_key=True).select_related("session")
    return salons.filter(records=row_id).first()


def _queue(
    company: Company, row: RecordState, *, settings: BookingSettings, latest: datetime, now: datetime
) -> bool:
    booking = rows.booking_of(row)
    visit = booking.visit
    if not (settings.reminder_on and visit and booking.phone and booking.is_expected):
        return False
    if visit.starts_at <= now or not messages.is_served(company):
        return False
    if messages.has_opted_out(company, booking.phone):
        return False
    if row.reminder_message is not None:
        messages.withdraw([row.reminder_message])  # an earlier one that still waits would say the same
    reminder = messages.queue(
        company,
        row,
        NewNotice(Kind.REMINDER, booking.phone, visit),
        language=settings.language,
        now=now,
        expires_at=min(visit.starts_at, latest),
    )
    row.reminder_message = reminder.message
    row.reminders_given = row.given_for(visit.starts_at) + 1
    row.reminded_for = visit.starts_at
    return True


def _record_failure(row: RecordState, error: Exception) -> None:
    """Once the visit begins the row stays as it is, with the error, and is not tried any more."""
    begun = row.starts_at is None or row.starts_at <= timezone.now()
    REMINDERS.retry(row, error=mask_traceback(error, most=MAX_TRACEBACK), count=True, give_up=begun)
    log.warning("reminder failed", record=row.record_id, given_up=begun, cause=repr(error))
