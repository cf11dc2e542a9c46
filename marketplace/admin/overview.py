"""Salons, queues, and messages and failures over time, on the first page of the admin."""

from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime

from django.db.models import Count, Model, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.shared.overview import (
    Panel,
    Plot,
    Series,
    cell,
    panel_of_all,
    register_panel,
    register_plot,
    register_shared_panel,
)
from config.shared.periods import Period
from config.shared.support import moment
from marketplace.admin.companies import COMPANY_TONES
from marketplace.admin.waiting import WAITING, read_waiting
from marketplace.models import Company, InboundWebhook
from marketplace.worker import message_counts
from whatsapp.models import HourlyCount, Message

Status = Message.Status
# From the ground up, as they are stacked.
OUTCOMES = (
    Status.READ, Status.DELIVERED, Status.SENT, Status.SENDING, Status.QUEUED, Status.UNKNOWN, Status.EXPIRED,
    Status.FAILED,
)  # fmt: skip
WEBHOOK_STATES = (InboundWebhook.State.FAILED, InboundWebhook.State.DEAD)
Numbers = Counter[tuple[datetime, str]]


def _companies() -> Panel:
    return panel_of_all(Company, "status", COMPANY_TONES)


def _waiting(models: Collection[type[Model]]) -> Panel:
    return Panel(_("what waits, and since when"), list(read_waiting(models)), _("Nothing waits."))


def _messages(period: Period) -> Plot:
    """Messages to clients by the step in which they were taken, from the counts that the worker keeps."""
    numbers: Numbers = Counter()
    rows = HourlyCount.objects.filter(hour__gte=period.starts()[0], status__in=OUTCOMES)
    for step, status, number in _stepped(rows.values_list("hour", "status", "number"), period):
        numbers[step, status] += number
    series = [Series(status.value, status.label) for status in OUTCOMES]
    return _plot(_("Messages to clients"), series, numbers, period, Message, "status__exact", "created_at")


def _failing(period: Period) -> Plot:
    """Webhooks whose processing failed, by when they came."""
    numbers: Numbers = Counter()
    first = period.starts()[0]
    webhooks = InboundWebhook.objects.filter(state__in=WEBHOOK_STATES, received_at__gte=first)
    by_step = webhooks.annotate(step=period.truncated("received_at")).values_list("step", "state")
    for step, state, number in by_step.annotate(number=Count("pk")).order_by():
        numbers[step, state] += number
    series = [Series(state.value, state.label) for state in WEBHOOK_STATES]
    return _plot(
        _("Webhooks that failed"), series, numbers, period, InboundWebhook, "state__exact", "received_at"
    )


def _unreported(period: Period) -> Plot:
    """Messages whose status could not be reported to YClients, by when they were taken."""
    numbers: Numbers = Counter()
    rows = HourlyCount.objects.filter(hour__gte=period.starts()[0], callbacks_dead__gt=0)
    by_hour = rows.values_list("hour").annotate(number=Sum("callbacks_dead")).order_by()
    for step, _key, number in _stepped(((hour, "dead", number) for hour, number in by_hour), period):
        numbers[step, "dead"] += number
    series = [Series("dead", gettext_lazy("given up"))]
    return _plot(
        _("Statuses that could not be reported"), series, numbers, period, Message, "callback_state__exact",
        "created_at",
    )  # fmt: skip


def _stepped(rows: object, period: Period) -> list[tuple[datetime, str, int]]:
    """The rows with the beginning of their step instead of their hour."""
    seconds = period.step.total_seconds()
    found = []
    for hour, key, number in rows:  # type: ignore[attr-defined]  # any iterable of triples
        step = datetime.fromtimestamp(hour.timestamp() // seconds * seconds, UTC)
        found.append((step, key, number))
    return found


def _plot(
    title: str, series: list[Series], numbers: Numbers, period: Period, model: type, lookup: str, at: str
) -> Plot:
    rows = [
        (
            period.words(start),
            [
                cell(model, numbers[start, each.key], at=at, period=period, start=start, **{lookup: each.key})
                for each in series
            ],
        )
        for start in period.starts()
    ]
    values = [[numbers[start, each.key] for each in series] for start in period.starts()]
    counted = moment(message_counts.counted_at()) if model is Message else ""
    return Plot(title, series, rows, values, counted)


register_panel(Company, _companies)
register_shared_panel(dict.fromkeys(each.model for each in WAITING), _waiting)
register_plot(Message, _messages)
register_plot(InboundWebhook, _failing)
register_plot(Message, _unreported)
