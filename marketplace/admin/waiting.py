"""What each queue's workers have to do now, with the list that shows it, and since when the oldest waits."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from config.shared import support
from config.shared.counting import bounded_count, counted
from config.shared.overview import Bar
from config.shared.queue import Queue
from marketplace.inbound.forwarding import FORWARDED
from marketplace.inbound.processing import INBOUND
from marketplace.notifications.callback_queue import CALLBACKS
from marketplace.webhooks.processing import BOOKINGS, LIFECYCLE
from whatsapp.models import Message


def read_waiting() -> Iterator[Bar]:
    """A bar for each queue in which something waits; two bounded queries a queue, each on its index."""
    to_send = Message.objects.filter(status=Message.Status.QUEUED, not_before__lte=timezone.now())
    yield from _bar(_("messages to be sent"), to_send, "not_before", status__exact="queued")
    yield from _of_queue(_("statuses for YClients"), CALLBACKS, callback_state__exact="due")
    yield from _of_queue(_("messages from clients"), INBOUND, direction__exact="in")
    yield from _of_queue(_("forwardings to salons"), FORWARDED, state__exact="due")
    for queue, word in ((LIFECYCLE, _("webhooks on installations")), (BOOKINGS, _("webhooks on bookings"))):
        yield from _of_queue(word, queue, state__exact="received")


def _of_queue(word: str, queue: Queue[Any], **query: Any) -> Iterator[Bar]:
    return _bar(word, queue.ready(), queue.due_at, **query)


def _bar(word: str, rows: QuerySet[Any], column: str, **query: Any) -> Iterator[Bar]:
    number = bounded_count(rows.order_by())
    if not number:
        return
    set_at = rows.filter(~Q(**{column: None})).order_by(column).values_list(column, flat=True)
    oldest: datetime | None = set_at.first()
    link = support.list_link(rows.model, counted(number), **query)
    yield Bar(support.state(word, "waiting"), link, number, "waiting", support.moment(oldest))
