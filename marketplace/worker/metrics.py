"""How every queue of the worker stands."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from config.shared.metrics import DATABASE, DatabaseGauges, gauge
from config.shared.queue import Backlog, Queue
from marketplace.alerts import outages
from marketplace.inbound import forwarding
from marketplace.salons import activation, activation_attempt
from marketplace.sync import channels, reconciliation
from marketplace.worker.jobs import QUEUES

# Queues whose rows wait for more than their time: a salon's phone, a difference, a message.
READY: dict[str, tuple[Callable[[], QuerySet[Any]], str]] = {
    activation_attempt.QUEUE.name: (activation.ready, "activation_next_at"),
    channels.CHANNELS.name: (channels.ready, "channel__next_at"),
    outages.ALERTS.name: (outages.ready, "outage_alert__next_at"),
    reconciliation.CHECKS.name: (reconciliation.ready, "next_at"),
    forwarding.ADDRESSES.name: (forwarding.ready, "paused_until"),
}


def _backlog(queue: Queue[Any]) -> Backlog:
    if queue.name not in READY:
        return queue.backlog()
    rows, since = READY[queue.name]
    return queue.backlog(rows(), since=since)


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
