"""What each queue's workers have to do now, as a filter of its list, and since when the oldest waits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
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
from marketplace.inbound.forwarding import FORWARDED
from marketplace.inbound.processing import INBOUND
from marketplace.notifications.callback_queue import CALLBACKS
from marketplace.webhooks.processing import BOOKINGS, LIFECYCLE
from whatsapp.models import Message


@dataclass(frozen=True, slots=True)
class Waiting:
    """One queue: the rows that are due now, and the column that says since when."""

    name: str
    label: Text
    model: type[Model]
    rows: Callable[[], QuerySet[Any]]
    since: str


def _of_queue(label: Text, queue: Queue[Any]) -> Waiting:
    return Waiting(queue.name, label, queue.model, queue.ready, queue.due_at)


def _to_send() -> QuerySet[Message]:
    return Message.objects.filter(status=Message.Status.QUEUED, not_before__lte=timezone.now())


WAITING = (
    Waiting("sending", _("messages to be sent"), Message, _to_send, "not_before"),
    _of_queue(_("statuses for YClients"), CALLBACKS),
    _of_queue(_("messages from clients"), INBOUND),
    _of_queue(_("forwardings to salons"), FORWARDED),
    _of_queue(_("webhooks on installations"), LIFECYCLE),
    _of_queue(_("webhooks on bookings"), BOOKINGS),
)


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


def read_waiting(model: type[Model]) -> Iterator[Bar]:
    """A bar for each queue of this table in which something waits; two bounded queries a queue."""
    for each in WAITING:
        number = bounded_count(each.rows().order_by()) if each.model is model else 0
        if not number:
            continue
        since = each.rows().filter(~Q(**{each.since: None})).order_by(each.since)
        oldest: datetime | None = since.values_list(each.since, flat=True).first()
        link = support.list_link(model, counted(number), waiting=each.name)
        yield Bar(support.state(each.label, "waiting"), link, number, "waiting", support.moment(oldest))
