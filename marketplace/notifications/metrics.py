"""What YClients sent through us, and what it was told of it."""

from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily

from config.shared.counting import bounded_count
from config.shared.metrics import DATABASE, DatabaseGauges, gauge
from whatsapp.models import Message

OPERATOR_SECONDS = Histogram(
    "marketplace_operator_seconds",
    "Seconds until a request with notifications was stored and answered.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
OPERATOR_REQUESTS = Counter(
    "marketplace_operator_requests_total", "Requests with notifications by the answer's status.", ["status"]
)
OPERATOR_MESSAGES = Counter(
    "marketplace_operator_messages_total",
    "Notifications by outcome: stored (repeats included), or YClients' code of the refusal.",
    ["outcome"],
)
CALLBACKS = Counter(
    "marketplace_callbacks_total",
    "Reports of statuses by outcome (reported, refused, unavailable, unreachable, forbidden, busy).",
    ["outcome"],
)
CALLBACK_STATUSES = Counter(
    "marketplace_callback_statuses_total", "Statuses that were reported, by YClients' number.", ["status"]
)


def _read() -> list[GaugeMetricFamily]:
    now = timezone.now()
    due = Message.objects.filter(direction="out", callback_state="due", callback_next_at__lte=now)
    waiting = due.aggregate(due=Count("pk"), oldest=Min("callback_next_at"))
    oldest = waiting["oldest"]
    dead = bounded_count(Message.objects.filter(callback_state="dead"))
    return [
        gauge(
            "marketplace_callbacks_waiting",
            "Reports of statuses that are due, and those that were given up.",
            "state",
            {"due": waiting["due"], "dead": dead},
        ),
        GaugeMetricFamily(
            "marketplace_callback_queue_age_seconds",
            "Seconds since the longest waiting report of a status was due; 0 when none is.",
            (now - oldest).total_seconds() if oldest else 0,
        ),
    ]


DATABASE.register(DatabaseGauges(_read))
