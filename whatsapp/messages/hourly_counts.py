"""Counting messages by hour and status, into rows of their own: the table of messages is too long for a page.

A status changes for days after the message was taken (a phone comes on line, a client reads), so hours are
counted again and again, old ones less often. The index `message_by_age` bounds each count to its hours.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Count, Q
from django.db.models.functions import TruncHour
from django.utils import timezone

from whatsapp.models import HourlyCount, Message

KEPT = timedelta(days=31)
SLICE = timedelta(days=1)  # counted by one statement


def recount(*, last: timedelta) -> None:
    """Count the messages of the `last` time anew, the hour in which it begins included."""
    now = timezone.now()
    for start, end in _slices(now - last, now):
        _recount_slice(start, end)


def forget_old() -> None:
    """Delete the counts of hours that nobody shows any more."""
    HourlyCount.objects.filter(hour__lt=timezone.now() - KEPT - SLICE).delete()


def _slices(start: datetime, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Whole hours up to the end of the current one, at most SLICE at once, the latest first."""
    first = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    while end > first:
        yield max(first, end - SLICE), end
        end -= SLICE


def _recount_slice(start: datetime, end: datetime) -> None:
    taken = Message.objects.filter(created_at__gte=start, created_at__lt=end)
    by_hour = taken.annotate(hour=TruncHour("created_at", tzinfo=UTC)).values_list("hour", "status")
    counted = by_hour.annotate(
        number=Count("pk"), callbacks_dead=Count("pk", filter=Q(callback_state=Message.CallbackState.DEAD))
    ).order_by()
    rows = [
        HourlyCount(hour=hour, status=status, number=number, callbacks_dead=dead)
        for hour, status, number, dead in counted
    ]
    with transaction.atomic():
        HourlyCount.objects.filter(hour__gte=start, hour__lt=end).delete()
        HourlyCount.objects.bulk_create(rows)
