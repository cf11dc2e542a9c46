"""Sends the reminders that are due. The booking's row is the queue: `reminder_at` says when it is.

What becomes due while no worker runs is not sent in the quiet hours (22:00 to 8:00 by the salon's clock): it
waits for their end.
"""

from datetime import datetime, time, timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from config.shared.masking import mask_traceback
from config.shared.queue import Queue
from marketplace.bookings import messages, rows, wording
from marketplace.bookings.visits import NewNotice
from marketplace.models import Company
from marketplace.models.booking_kinds import Kind
from marketplace.models.bookings import RecordState
from whatsapp.messages import limits

log = structlog.get_logger("bookings")

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
