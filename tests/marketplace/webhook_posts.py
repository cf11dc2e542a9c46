"""Posting to the webhook addresses, as YClients does."""

import json
from typing import Any

from config.shared.endpoints import IngestRequest
from marketplace.models import MarketplaceEvent
from marketplace.webhooks import intake
from tests import ingest_client
from tests.ingest_client import Reply
from tests.marketplace.salons_data import MOSCOW
from tests.payloads import load

WEBHOOK_URL = "/webhook/yclients"
MOSCOW_SECRET = f"webhook_secret-of-{MOSCOW}"
MOSCOW_WEBHOOK_URL = f"{WEBHOOK_URL}/{MOSCOW_SECRET}"


def post(body: Any, url: str = WEBHOOK_URL) -> Reply:
    """Post a body, or its raw bytes, and return the answer."""
    return ingest_client.post(url, body)


def store(body: Any, secret: str = MOSCOW_SECRET) -> None:
    """Let a webhook arrive in this thread, and so in its transaction."""
    [answer] = intake.handle([request(body, secret)])
    assert answer.status == 200, answer.content


def lifecycle_body(event: str, **changes: Any) -> dict[str, Any]:
    """Return an authentic lifecycle event about Moscow, with changes."""
    return load("uninstall", event=event, **changes)


def events(kind: str) -> int:
    """Return how many marketplace events of this kind there are."""
    return MarketplaceEvent.objects.filter(event_type=kind).count()


def request(body: Any, secret: str = "") -> IngestRequest:
    """Return the request that posts a body, for code that takes several at once."""
    return IngestRequest(body if isinstance(body, bytes) else json.dumps(body).encode(), secret)
