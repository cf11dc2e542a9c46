"""What passed between YClients and us, and what waits."""

from django.db.models import Count
from django.utils import timezone
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily

from config.shared.counting import bounded_count
from config.shared.metrics import DATABASE, DatabaseGauges, gauge
from marketplace.models import Company, InboundWebhook

WEBHOOK_SECONDS = Histogram(
    "marketplace_webhook_seconds",
    "Seconds until a webhook was stored and answered; the sender gives up after about 10.",
    ["kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
WEBHOOKS = Counter(
    "marketplace_webhooks_total",
    "Webhooks by kind (lifecycle, entity) and outcome (stored, repeat, refused, invalid, unavailable).",
    ["kind", "outcome"],
)
EFFECTS = Counter("marketplace_webhook_effects_total", "Kept webhooks by what became of them.", ["state"])
YCLIENTS_SECONDS = Histogram(
    "yclients_call_seconds", "Seconds a call to YClients took, its waiting for a slot excluded.", ["call"]
)
YCLIENTS_CALLS = Counter(
    "yclients_calls_total",
    "Calls to YClients by outcome: the HTTP status, or timeout, or network.",
    ["call", "outcome"],
)
PRUNED = Counter("marketplace_pruned_total", "Rows whose personal data was removed with age.", ["kind"])
ACTIVATIONS = Counter("marketplace_activations_total", "Activations by how they ended.", ["outcome"])


def _read() -> list[GaugeMetricFamily]:
    now = timezone.now()
    companies = Company.objects.values_list("status").annotate(Count("pk")).order_by()
    webhooks = InboundWebhook.objects
    by_state: dict[str, float] = {
        state: bounded_count(webhooks.filter(state=state)) for state in InboundWebhook.UNFINISHED
    }
    first = [
        webhooks.filter(state=state).order_by("received_at").values_list("received_at", flat=True).first()
        for state in ("received", "failed")
    ]
    oldest = min((at for at in first if at), default=None)
    by_status: dict[str, float] = {**dict.fromkeys(Company.Status.values, 0), **dict(companies)}
    return [
        gauge("marketplace_companies", "Salons by status.", "status", by_status),
        gauge(
            "marketplace_webhooks_waiting",
            "Webhooks without their effect, and those given up, by state; counted to 10,001.",
            "state",
            by_state,
        ),
        GaugeMetricFamily(
            "marketplace_webhook_queue_age_seconds",
            "Age of the oldest webhook without its effect; 0 when none waits.",
            (now - oldest).total_seconds() if oldest else 0,
        ),
    ]


DATABASE.register(DatabaseGauges(_read))
