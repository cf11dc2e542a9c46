"""What each queue's workers have to do now, as a filter of a list, and since when the oldest waits.

A queue whose table has no list of its own is shown as the salons that its rows belong to.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.counting import bounded_count, counted
from config.shared.overview import Bar
from config.shared.queue import Queue
from config.shared.support import Text
from marketplace.alerts import outages
from marketplace.billing import notifying
from marketplace.bookings.reminder_sending import REMINDERS
from marketplace.inbound import forwarding
from marketplace.inbound.outgoing_events import STATUSES
from marketplace.inbound.processing import INBOUND
from marketplace.models import Company
from marketplace.notifications.callback_queue import CALLBACKS
from marketplace.salons import activation_attempt, registration_checks
from marketplace.sync import channels, listing, reconciliation, uninstalls
from marketplace.webhooks.processing import BOOKINGS, LIFECYCLE
from marketplace.worker import message_counts, retention
from marketplace.worker.jobs import ready_rows
from whatsapp.media.incoming import FETCHES
from whatsapp.models import Message


@dataclass(frozen=True, slots=True)
class Waiting:
    """One queue, by its name: the rows of a list that are due now, and the column that says since when."""

    name: str
    label: Text
    model: type[Model]
    rows: Callable[[], QuerySet[Any]]
    since: str


def _of_queue(label: Text, queue: Queue[Any]) -> Waiting:
    return Waiting(queue.name, label, queue.model, partial(ready_rows, queue), queue.due_at)


def _salons(label: Text, queue: Queue[Any], since: str) -> Waiting:
    """The salons of the queue's due rows."""

    def ready() -> QuerySet[Any]:
        found = ready_rows(queue).order_by()
        return Company.objects.filter(pk__in=found.values("pk" if found.model is Company else "company"))

    return Waiting(queue.name, label, Company, ready, since)


def _to_send() -> QuerySet[Message]:
    return Message.objects.filter(status=Message.Status.QUEUED, not_before__lte=timezone.now())


# Every queue of the worker (marketplace/worker/jobs.py), and the pools' own; what people wait for is first.
WAITING = (
    Waiting("sending", _("messages to be sent"), Message, _to_send, "not_before"),
    _of_queue(_("statuses for YClients"), CALLBACKS),
    _of_queue(_("statuses for salons' programs"), STATUSES),
    _of_queue(_("messages from clients"), INBOUND),
    _of_queue(_("files to be fetched"), FETCHES),
    _of_queue(_("reminders to be made"), REMINDERS),
    _salons(_("activations"), activation_attempt.QUEUE, "activation_next_at"),
    _salons(_("registrations to be checked"), registration_checks.CHECKS, "checks__next_attempt_at"),
    _of_queue(_("webhooks on installations"), LIFECYCLE),
    _of_queue(_("webhooks on bookings"), BOOKINGS),
    _of_queue(_("forwardings to salons"), forwarding.FORWARDED),
    _of_queue(_("addresses to forward to"), forwarding.ADDRESSES),
    _of_queue(_("payments to be told"), notifying.QUEUE),
    _salons(_("uninstalls to be confirmed"), uninstalls.REQUESTS, "uninstall_request__next_at"),
    _salons(_("channels to be told to YClients"), channels.CHANNELS, "channel__next_at"),
    _salons(_("e-mails on outages"), outages.ALERTS, "outage_alert__next_at"),
    _salons(_("comparisons with YClients"), reconciliation.CHECKS, "check_row__next_at"),
    _of_queue(_("pages of YClients' list"), listing.LISTINGS),
    _of_queue(_("removal of what is old"), retention.ROUNDS),
    _of_queue(_("counting of messages"), message_counts.ROUNDS),
)  # fmt: skip


class WaitingFilter(admin.SimpleListFilter):
    """Rows that a worker or a pool has to do something with now."""

    title = _("Waits now")
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Text]]:
        return [(each.name, each.label) for each in WAITING if each.model is model_admin.model]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = next((each for each in WAITING if each.name == self.value()), None)
        if chosen is None or chosen.model is not queryset.model:
            return queryset
        return queryset.filter(pk__in=chosen.rows().order_by().values("pk"))


def read_waiting(models: Collection[type[Model]]) -> Iterator[Bar]:
    """A bar for each queue of these lists in which something waits; two bounded queries a queue."""
    for each in WAITING:
        number = bounded_count(each.rows()) if each.model in models else 0
        if not number:
            continue
        since = each.rows().filter(~Q(**{each.since: None})).order_by(each.since)
        oldest: datetime | None = since.values_list(each.since, flat=True).first()
        link = support.list_link(each.model, counted(number), waiting=each.name)
        remark = support.moment(oldest) if oldest else ""
        yield Bar(support.state(each.label, "waiting"), link, number, "waiting", remark)
