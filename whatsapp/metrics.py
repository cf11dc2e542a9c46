"""What the session pools did, and how the sessions stand."""

from django.db.models import Count, Sum
from django.utils import timezone
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily

from config.metrics import DATABASE, DatabaseGauges, gauge
from whatsapp.models import Pool, Session
from whatsapp.services import POOL_SILENCE

FIRST_QR_SECONDS = Histogram(
    "whatsapp_first_qr_seconds",
    "Seconds from the request for a pairing to its first QR code.",
    buckets=(0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60),
)
PAIRINGS = Counter("whatsapp_pairings_total", "Devices linked.")
DISCONNECTS = Counter("whatsapp_disconnects_total", "Lines lost by reason.", ["reason"])
LEASE_LOSSES = Counter("whatsapp_lease_losses_total", "Sessions stopped because their lease was lost.")
HOST_RESTARTS = Counter("whatsapp_host_restarts_total", "Engine hosts replaced by reason.", ["reason"])


def _read() -> list[GaugeMetricFamily]:
    counted = Session.objects.values_list("status").annotate(Count("pk")).order_by()
    by_status: dict[str, float] = {**dict.fromkeys(Session.Status.values, 0), **dict(counted)}
    alive = Pool.objects.filter(heartbeat_at__gt=timezone.now() - POOL_SILENCE)
    total = alive.aggregate(pools=Count("pk"), capacity=Sum("capacity"), held=Sum("sessions"))
    return [
        gauge("whatsapp_sessions", "Sessions by status.", "status", by_status),
        GaugeMetricFamily("whatsapp_pools", "Session pools with a recent heartbeat.", total["pools"]),
        GaugeMetricFamily(
            "whatsapp_pool_capacity", "Sessions that the living pools can hold.", total["capacity"] or 0
        ),
        GaugeMetricFamily(
            "whatsapp_pool_sessions", "Sessions that the living pools hold.", total["held"] or 0
        ),
    ]


DATABASE.register(DatabaseGauges(_read))
