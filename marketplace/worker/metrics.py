"""How every queue of the worker stands."""

from typing import Any

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from config.shared.metrics import DATABASE, DatabaseGauges, gauge
from config.shared.queue import Backlog, Queue
from marketplace.alerts import outages
from marketplace.sync import channels
from marketplace.worker.jobs import QUEUES, ready_rows

# Where the rows of `jobs.READY` say since when they wait, if the queue's own column does not lead there.
SINCE = {
    channels.CHANNELS.name: "channel__next_at",
    outages.ALERTS.name: "outage_alert__next_at",
}


def _backlog(queue: Queue[Any]) -> Backlog:
    return queue.backlog(ready_rows(queue), since=SINCE.get(queue.name, ""))


def _read() -> list[GaugeMetricFamily]:
    now = timezone.now()
    backlogs = {queue.name: _backlog(queue) for queue in QUEUES}
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
