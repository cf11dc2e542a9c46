"""All that a worker does: how due rows are found, what is done with each, how often it looks."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from config.shared.backoff import backoff
from config.shared.queue import Queue
from marketplace.alerts import outages
from marketplace.billing import notifying
from marketplace.bookings import reminder_sending as reminders
from marketplace.inbound import forwarding, outgoing_events, processing, welcome
from marketplace.notifications import callback_queue, callbacks
from marketplace.salons import access, activation, activation_attempt, registration_checks
from marketplace.sync import channels, connections, listing, reconciliation, uninstalls
from marketplace.webhooks import processing as webhooks
from marketplace.worker import message_counts, retention
from whatsapp.media import incoming

# Seconds between two looks that hints lead to. A hint is for all jobs, and while messages are sent there are
# dozens a second; a row that has ended makes room for the next one at once.
INTERVAL = 0.1
MEDIUM_INTERVAL = 0.5  # what nobody waits for in front of a page
SLOW_INTERVAL = 5.0  # what is due by the hour
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0  # seconds before a row whose work raised is tried again here

QUEUES: tuple[Queue[Any], ...] = (
    activation_attempt.QUEUE,
    registration_checks.CHECKS,
    webhooks.LIFECYCLE,
    webhooks.BOOKINGS,
    reminders.REMINDERS,
    channels.CHANNELS,
    outages.ALERTS,
    uninstalls.REQUESTS,
    notifying.QUEUE,
    reconciliation.CHECKS,
    listing.LISTINGS,
    callback_queue.CALLBACKS,
    processing.INBOUND,
    outgoing_events.STATUSES,
    forwarding.ADDRESSES,
    forwarding.FORWARDED,
    incoming.FETCHES,  # the session pools work it
    retention.ROUNDS,
    message_counts.ROUNDS,
)

# Whose rows wait for more than their time: a salon's phone, a difference, a message.
READY: dict[str, Callable[[], QuerySet[Any]]] = {
    activation_attempt.QUEUE.name: activation.ready,
    channels.CHANNELS.name: channels.ready,
    outages.ALERTS.name: outages.ready,
    reconciliation.CHECKS.name: reconciliation.ready,
    forwarding.ADDRESSES.name: forwarding.ready,
}


def ready_rows(queue: Queue[Any]) -> QuerySet[Any]:
    """What a worker would take of the queue now; salons, where the queue's rows are joined to them."""
    return READY.get(queue.name, queue.ready)()


@dataclass(slots=True)
class Job:
    """Rows of one kind: `find` returns the keys of due ones, at most `limit`; `work` is called with each key.

    At most `at_once` are at work here; hints lead to a look every `interval` seconds.
    """

    name: str
    find: Callable[..., list[Any]]
    work: Callable[[Any], Any]
    at_once: int
    interval: float = INTERVAL
    running: dict[Any, "asyncio.Task[None]"] = field(default_factory=dict)
    failures: dict[Any, tuple[int, float]] = field(default_factory=dict)  # key → times, not before
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    looked_at: float = 0.0
    timer: asyncio.TimerHandle | None = None

    def hint(self) -> None:
        """Look at once, or when `interval` seconds have passed since the last look."""
        wait = self.looked_at + self.interval - time.monotonic()
        if wait <= 0:
            self.wake.set()
        elif self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        self.timer = None
        self.wake.set()

    def may_try(self, key: Any) -> bool:
        """The row is not at work here, and did not fail here a moment ago."""
        return key not in self.running and self.failures.get(key, (0, 0.0))[1] <= time.monotonic()

    def failed(self, key: Any) -> None:
        """Leave the row alone for a while, longer with each failure."""
        now = time.monotonic()
        times = self.failures.get(key, (0, 0.0))[0] + 1
        pause = backoff(times, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        # Those that other workers have ended meanwhile are never heard of again.
        recent = {row: failure for row, failure in self.failures.items() if failure[1] > now - LONGEST_PAUSE}
        self.failures = {**recent, key: (times, now + pause)}


def all_jobs() -> list[Job]:
    """Return the worker's jobs, fresh."""
    return [
        Job("activations", activation.due, activation.activate_due, at_once=4),
        Job("registrations", registration_checks.CHECKS.due, registration_checks.check, at_once=1),
        Job("access links", access.expired, access.expire, at_once=1, interval=SLOW_INTERVAL),
        Job("connections", connections.due, connections.record, at_once=2, interval=MEDIUM_INTERVAL),
        Job("webhooks", webhooks.LIFECYCLE.due, webhooks.apply_due, at_once=2),
        Job("bookings", webhooks.BOOKINGS.due, webhooks.apply_due, at_once=2),
        Job("reminders", reminders.REMINDERS.due, reminders.send_due, at_once=1, interval=SLOW_INTERVAL),
        Job("channels", channels.due, channels.report, at_once=1, interval=MEDIUM_INTERVAL),
        Job("outage e-mails", outages.due, outages.send, at_once=1, interval=SLOW_INTERVAL),
        Job("payments", notifying.QUEUE.due, notifying.work, at_once=1),
        Job("uninstalls", uninstalls.REQUESTS.due, uninstalls.check, at_once=1),
        Job("reconciliation", reconciliation.due, reconciliation.check, at_once=1, interval=SLOW_INTERVAL),
        Job("listing", listing.due, listing.read_next, at_once=1, interval=SLOW_INTERVAL),
        Job("callbacks", callback_queue.CALLBACKS.due, callbacks.deliver, at_once=2),
        Job("inbound", processing.INBOUND.due, processing.process, at_once=2),
        Job("statuses", outgoing_events.STATUSES.due, outgoing_events.queue_status, at_once=2),
        Job("forwarding", forwarding.due, forwarding.deliver, at_once=2),
        Job("retention", retention.due, retention.prune_due, at_once=1, interval=SLOW_INTERVAL),
        Job(
            "message counts",
            message_counts.due,
            message_counts.recount_due,
            at_once=1,
            interval=SLOW_INTERVAL,
        ),
        Job("welcome", welcome.due, welcome.send, at_once=1, interval=MEDIUM_INTERVAL),
    ]
