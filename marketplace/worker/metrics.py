"""How every queue of the worker stands."""

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from config.shared.metrics import DATABASE, DatabaseGauges, gauge
from marketplace.worker.jobs import QUEUES


def _read() -> list[GaugeMetricFamily]:
    now = timezone.now()
    backlogs = {queue.name: queue.backlog() for queue in QUEUES}
    ages = {
        name: (now - backlog.oldest).total_seconds() if backlog.oldest else 0.0
        for name, backlog in backlogs.items()
    }
    due = {name: float(backlog.due) for name, backlog in backlogs.items()}
    dead = {name: float(backlog.dead) for name, backlog in backlogs.items()}
    return [
        gauge("marketplace_queue_due", "Rows due now, by queue; counted to 10,001.", "queue", due),
        gauge(
            "marketplace_queue_age_seconds",
            "Seconds since the longest waiting row of a queue was due; 0 when none is.",
            "queue",
            ages,
        ),
        gauge("marketplace_queue_dead", "Rows that were given up, by queue; to 10,001.", "queue", dead),
    ]


DATABASE.register(DatabaseGauges(_read))
