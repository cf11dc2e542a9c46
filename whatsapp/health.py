"""What the health pages say of pools and sessions."""

from typing import Any

from django.db.models import Count
from django.utils import timezone

from config.shared.probes import register_details, register_probe
from whatsapp.models import Pool, Session
from whatsapp.sessions import services


def _details() -> dict[str, Any]:
    alive = Pool.objects.filter(heartbeat_at__gt=timezone.now() - services.POOL_SILENCE)
    return {
        "pools": list(alive.values("name", "capacity", "sessions", "hosts", "rss_bytes")),
        "sessions": dict(Session.objects.order_by().values_list("status").annotate(Count("pk"))),
    }


register_probe("pool", services.pool_is_running)
register_details(_details)
