"""Posting to the webhook addresses, as YClients does."""

import json
from typing import Any

from django.test import Client

from marketplace.models import MarketplaceEvent
from tests.marketplace.salons_data import MOSCOW
from tests.payloads import load

WEBHOOK_URL = "/webhook/yclients"
MOSCOW_WEBHOOK_URL = f"{WEBHOOK_URL}/webhook_secret-of-{MOSCOW}"


def post(body: Any, url: str = WEBHOOK_URL) -> Any:
    """Post a body, or its raw bytes, and return the answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client().post(url, data=raw, content_type="application/json")


def lifecycle_body(event: str, **changes: Any) -> dict[str, Any]:
    """Return an authentic lifecycle event about Moscow, with changes."""
    return load("uninstall", event=event, **changes)


def events(kind: str) -> int:
    """Return how many marketplace events of this kind there are."""
    return MarketplaceEvent.objects.filter(event_type=kind).count()
