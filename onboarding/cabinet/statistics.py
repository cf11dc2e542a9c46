"""How many messages a salon's number sent, by day and outcome, and what waits; read for each page anew."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from config.shared.counting import MOST_COUNTED
from whatsapp.models import Message, Session

Status = Message.Status
DAYS = 30
# What people tell apart, in the order in which a bar is stacked.
OUTCOMES = {
    "read": (Status.READ,),
    "delivered": (Status.DELIVERED,),
    "sent": (Status.SENT,),
    "queued": (Status.QUEUED, Status.SENDING),
    "failed": (Status.FAILED, Status.EXPIRED, Status.UNKNOWN),
}
OUTCOME_OF = {str(status): outcome for outcome, statuses in OUTCOMES.items() for status in statuses}


@dataclass(slots=True)
class Day:
    """The messages that were taken on one day by the salon's clock, by outcome."""

    day: date
    by_outcome: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.by_outcome.total()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages that wait: `due` could go now, `later` have their time still ahead."""

    due: int
    later: int


def read_days(session: Session, zone: ZoneInfo) -> list[Day]:
    """The last 30 days, today last; two queries, which read this number's rows of these days alone."""
    today = timezone.now().astimezone(zone).date()
    days = {day: Day(day) for day in (today - timedelta(days=n) for n in range(DAYS - 1, -1, -1))}
    began = datetime.combine(today - timedelta(days=DAYS - 1), datetime.min.time(), tzinfo=zone)
    for day, status, number in _counts(session, zone, began):
        if day in days:
            days[day].by_outcome[OUTCOME_OF[status]] += number
    return list(days.values())


def _counts(session: Session, zone: ZoneInfo, began: datetime) -> Sequence[tuple[date, str, int]]:
    # Rows are numbered as they come: the first number of the time (message_by_age) bounds a session's rows of
    # that time. PostgreSQL finds them by message_by_session, and those of a number that has a large part of
    # all rows by the numbers alone.
    since = Message.objects.filter(created_at__gte=began).order_by("created_at")
    first = since.values_list("pk", flat=True).first()
    if first is None:
        return []
    own = Message.objects.filter(session=session, pk__gte=first, direction=Message.Direction.OUT)
    grouped = own.annotate(day=TruncDate("created_at", tzinfo=zone)).order_by().values_list("day", "status")
    return list(grouped.annotate(number=Count("pk")))


def read_waiting(session: Session) -> Waiting:
    """What waits, counted as far as 10,000; by the index of the sender's queue."""
    now = timezone.now()
    queued: QuerySet[Message] = Message.objects.filter(session=session, status=Status.QUEUED)
    rows = queued.order_by("priority", "not_before").values("pk", "not_before")[:MOST_COUNTED]
    found = rows.aggregate(
        due=Count("pk", filter=Q(not_before__lte=now)), later=Count("pk", filter=Q(not_before__gt=now))
    )
    return Waiting(found["due"], found["later"])


def sent_since(session: Session, began: datetime) -> int:
    """Messages handed to WhatsApp since then, as the daily cap counts them."""
    return Message.objects.filter(session=session, sending_at__gte=began).count()
