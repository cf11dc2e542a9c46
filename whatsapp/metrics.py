"""What the session pools did, and how the sessions stand."""

from django.db.models import Count, Min, Q, Sum
from django.utils import timezone
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily

from config.shared.metrics import DATABASE, DatabaseGauges, gauge
from whatsapp.models import Message, Pool, Session
from whatsapp.sessions import leases
from whatsapp.sessions.services import LEFT_ALONE_AFTER, POOL_SILENCE

FIRST_QR_SECONDS = Histogram(
    "whatsapp_first_qr_seconds",
    "Seconds from the start of a pairing attempt to its first QR code.",
    buckets=(0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60),
)
PAIRINGS = Counter("whatsapp_pairings_total", "Devices linked.")
DISCONNECTS = Counter(
    "whatsapp_disconnects_total",
    "Lines lost and connections that failed, by trouble (network, server, host, replaced, banned, …).",
    ["reason"],
)
LEASE_LOSSES = Counter("whatsapp_lease_losses_total", "Sessions stopped because their lease was lost.")
HOST_RESTARTS = Counter(
    "whatsapp_host_restarts_total", "Engine hosts that died with sessions in them, by reason.", ["reason"]
)
HOST_RECYCLES = Counter(
    "whatsapp_host_recycles_total", "Engine hosts replaced for their age, memory or number of starts."
)
MESSAGES = Counter("whatsapp_messages_total", "Messages by what became of them.", ["outcome"])
MEDIA_FILES = Counter(
    "whatsapp_media_files_total",
    "Files of clients, by what became of the attempt to fetch them.",
    ["outcome"],
)
SEND_SECONDS = Histogram(
    "whatsapp_send_seconds",
    "Seconds from handing a message to the engine to the acknowledgement of WhatsApp's server.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 75),
)
WAITED_SECONDS = Histogram(
    "whatsapp_message_waited_seconds",
    "Seconds from the moment a message was due to the acknowledgement of WhatsApp's server.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 10800),
)


def _read() -> list[GaugeMetricFamily]:
    counted = Session.objects.values_list("status").annotate(Count("pk")).order_by()
    by_status: dict[str, float] = {**dict.fromkeys(Session.Status.values, 0), **dict(counted)}
    alive = Pool.objects.filter(heartbeat_at__gt=timezone.now() - POOL_SILENCE)
    total = alive.aggregate(pools=Count("pk"), capacity=Sum("capacity"), held=Sum("sessions"))
    beats = alive.aggregate(own=Sum("own_rss_bytes"), theirs=Sum("rss_bytes"), engines=Sum("hosts"))
    memory = {"pool": beats["own"] or 0, "hosts": beats["theirs"] or 0}
    return [
        *_waiting(),
        gauge("whatsapp_memory_bytes", "Memory of the living pools and of their engine hosts.", "of", memory),
        GaugeMetricFamily(
            "whatsapp_engine_hosts", "Engine hosts of the living pools.", beats["engines"] or 0
        ),
        GaugeMetricFamily(
            "whatsapp_sessions_left_alone",
            f"Sessions with work to do that no pool has held for {LEFT_ALONE_AFTER:.0f} s.",
            leases.left_alone(seconds=LEFT_ALONE_AFTER).count(),
        ),
        gauge("whatsapp_sessions", "Sessions by status.", "status", by_status),
        GaugeMetricFamily("whatsapp_pools", "Session pools with a recent heartbeat.", total["pools"]),
        GaugeMetricFamily(
            "whatsapp_pool_capacity", "Sessions that the living pools can hold.", total["capacity"] or 0
        ),
        GaugeMetricFamily(
            "whatsapp_pool_sessions", "Sessions that the living pools hold.", total["held"] or 0
        ),
    ]


def _waiting() -> list[GaugeMetricFamily]:
    """Only what waits is counted at each scrape: it has indexes of its own, and the rest is long."""
    now = timezone.now()
    due = Q(status="queued", not_before__lte=now)
    rows = Message.objects.filter(status="queued").aggregate(
        due=Count("pk", filter=due), later=Count("pk", filter=~due), oldest=Min("not_before", filter=due)
    )
    sending = Message.objects.filter(status="sending").count()
    to_tell = Message.objects.filter(callback_state="due", callback_next_at__lte=now).count()
    waiting = {"due": rows["due"], "later": rows["later"], "sending": sending, "to_tell": to_tell}
    age = (now - rows["oldest"]).total_seconds() if rows["oldest"] else 0.0
    return [
        gauge("whatsapp_messages_waiting", "Messages that wait, by what for.", "state", waiting),
        GaugeMetricFamily("whatsapp_queue_age_seconds", "How long the longest waiting message is due.", age),
    ]


DATABASE.register(DatabaseGauges(_read))
