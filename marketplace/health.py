"""What the health page says of salons and webhooks."""

from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils import timezone

from config.shared.counting import bounded_count
from config.shared.probes import register_details
from marketplace.models import Company, InboundWebhook
from marketplace.yclients.signing import is_placeholder_token


def _details() -> dict[str, Any]:
    due = InboundWebhook.objects.filter(state__in=("received", "failed"), next_attempt_at__lte=timezone.now())
    token = settings.YCLIENTS_PARTNER_TOKEN
    return {
        "companies": dict(Company.objects.order_by().values_list("status").annotate(Count("pk"))),
        "webhooks": unfinished_webhooks(),
        "webhooks_due": bounded_count(due),
        "yclients_configured": not is_placeholder_token(token) and bool(settings.YCLIENTS_APPLICATION_ID),
    }


def unfinished_webhooks() -> dict[str, int]:
    """Webhooks that wait or were given up, by state, each at most 10,001; applied ones are not counted."""
    return {
        state: bounded_count(InboundWebhook.objects.filter(state=state))
        for state in InboundWebhook.UNFINISHED
    }


register_details(_details)
