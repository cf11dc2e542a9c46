"""A salon with booking messages switched on, and the webhooks of YClients about its bookings."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from marketplace.bookings import reminder_sending
from marketplace.models import BookingSettings, Company, InboundWebhook, RecordState
from marketplace.webhooks import processing
from tests.marketplace.salons_data import make_active
from tests.marketplace.webhook_posts import store
from tests.payloads import load
from whatsapp.models import Message

IVAN, OLGA = "79990000000", "79161112233"
RECORD = 596792980
FIRST_CHANGE = timezone.now() - timedelta(hours=3)
EVERYTHING = {"created_on": True, "moved_on": True, "cancelled_on": True}
ANNA = {"id": 2835418, "name": "Анна"}
BORIS = {"id": 2835419, "name": "Борис"}


def open_salon(**settings: Any) -> Company:
    """Moscow, active and linked, with these messages switched on (all but the reminder by default)."""
    company = make_active(
        title="Лотос", address="Тверская, 1", phone="74951234567", timezone_name="Europe/Moscow"
    )
    BookingSettings.objects.create(company=company, **(settings or EVERYTHING))
    return company


def in_days(days: float, hour: int = 12, minute: int = 10) -> datetime:
    """A time of the day by Moscow's clock, so many days from now."""
    day = timezone.now().astimezone(UTC) + timedelta(days=days)
    return day.replace(hour=hour - 3, minute=minute, second=0, microsecond=0)


def said_at(second: int) -> str:
    """A `last_change_date`, later with each second; all lie some hours ago."""
    return (FIRST_CHANGE + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S%z")


def record_body(status: str, second: int, **data: Any) -> dict[str, Any]:
    """A webhook about Ivan's visit to Anna in three days; `data` changes it, `...` takes a field out."""
    body = load("record_update", status=status)
    start = data.pop("start", in_days(3))
    fields = {
        **body["data"],
        "create_date": "2025-01-01T10:00:00+0300",
        "date": f"{start + timedelta(hours=3):%Y-%m-%d %H:%M:%S}",
        "datetime": (start + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%S+03:00"),
        "last_change_date": said_at(second),
        "attendance": 0,
        "staff": ANNA,
        "client": {"id": 1, "name": "Иван", "phone": f"+{IVAN}"},
        **data,
    }
    kept = {name: value for name, value in fields.items() if value is not ...}
    return {**body, "resource_id": data.get("id", RECORD), "data": kept}


def receive(status: str, second: int, **data: Any) -> InboundWebhook:
    """Let the webhook arrive and a worker apply it."""
    store(record_body(status, second, **data))
    work()
    return InboundWebhook.objects.latest("id")


def work() -> None:
    """Do what a worker does with all webhooks that are due."""
    for pk in processing.BOOKINGS.due(limit=1000):
        processing.apply(webhook=InboundWebhook.objects.get(pk=pk))


def waiting() -> list[tuple[str, str, str]]:
    """What waits in the queue: kind, phone, text."""
    rows = Message.objects.filter(status="queued").order_by("pk")
    return [((row.external_id or "").rpartition(":")[2], row.phone, row.text) for row in rows]


def kinds() -> list[str]:
    """The kinds of what waits in the queue."""
    return [kind for kind, _phone, _text in waiting()]


def send_all(status: str = "delivered") -> None:
    """Let everything that waits go out."""
    for row in Message.objects.filter(status="queued"):
        Message.objects.filter(pk=row.pk).update(status=status, wa_message_id=f"WA{row.pk}")


def the_record() -> RecordState:
    return RecordState.objects.get()


def remind() -> list[str]:
    """Do what a worker does with due reminders; what waits then."""
    for pk in reminder_sending.REMINDERS.due(limit=10):
        reminder_sending.send_due(pk)
    return kinds()


def let_it_be_due() -> None:
    """Move time on by moving the reminder back."""
    RecordState.objects.filter(reminder_at__isnull=False).update(reminder_at=timezone.now())
