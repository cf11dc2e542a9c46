"""Which webhooks are authentic.

A lifecycle event is authentic when it carries our partner token. An entity event carries nothing, so it is
taken only on a salon's own unguessable address, and only about that salon.
"""

import hmac
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from config.shared.endpoints import IngestRequest
from marketplace.models import InboundWebhook
from marketplace.salons.webhook_secrets import companies_by_secret
from marketplace.webhooks import bodies, envelopes

Kind = InboundWebhook.Kind

# The sender's retries come within minutes; without a time of change in the body only they are repeats.
REPEAT_WINDOW = 600  # seconds


class Refused(Exception):
    """The sender may not send this here."""

    def __init__(self, kind: Kind, cause: str) -> None:
        super().__init__(cause)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class VerifiedWebhook:
    """A body whose sender may send it, without secrets; `digest` is what makes a repeat of it the same."""

    kind: Kind
    salon_id: int
    name: str
    body: dict[str, Any]
    digest: str


def salons_of_addresses(requests: Iterable[IngestRequest]) -> dict[str, int]:
    """Return by their secret the salons whose own addresses these requests came to; one query."""
    companies = companies_by_secret(request.secret for request in requests)
    return {secret: company.salon_id for secret, company in companies.items()}


def verify(body: dict[str, Any], *, address_of: int | None) -> VerifiedWebhook:
    """Return the webhook in a body that came to the own address of the salon `address_of`, if to any.

    Raises BadBody, Refused.
    """
    if not envelopes.is_entity(body):
        return _lifecycle(body, address_of)
    if address_of is None:
        raise Refused(Kind.ENTITY, "entity event without a salon's address")
    return _entity(body, address_of)


def _lifecycle(body: dict[str, Any], address_of: int | None) -> VerifiedWebhook:
    if not _has_our_token(body):
        raise Refused(Kind.LIFECYCLE, "lifecycle event without our partner token")
    envelope = envelopes.read_lifecycle(body)
    if envelope.application_id != settings.YCLIENTS_APPLICATION_ID:
        raise Refused(Kind.LIFECYCLE, "lifecycle event of another application")
    if address_of not in (None, envelope.salon_id):
        raise Refused(Kind.LIFECYCLE, "lifecycle event on another salon's address")
    cleaned = bodies.clean(body, secret=settings.YCLIENTS_PARTNER_TOKEN)
    return VerifiedWebhook(Kind.LIFECYCLE, envelope.salon_id, envelope.event, cleaned, bodies.digest(cleaned))


def _entity(body: dict[str, Any], address_of: int) -> VerifiedWebhook:
    envelope = envelopes.read_entity(body)
    if envelope.salon_id != address_of:
        raise Refused(Kind.ENTITY, "entity event about another salon")
    cleaned = bodies.clean(body, secret=settings.YCLIENTS_PARTNER_TOKEN)
    data = cleaned.get("data")
    changed = data.get("last_change_date") if isinstance(data, dict) else None
    when = str(changed)[:40] if changed else f"{int(time.time()) // REPEAT_WINDOW}"
    # Hashed, because the parts are the sender's and of any length.
    parts = (envelope.salon_id, envelope.resource, envelope.resource_id, envelope.status, when, data)
    name = f"{envelope.resource}.{envelope.status or ''}".rstrip(".")
    return VerifiedWebhook(Kind.ENTITY, envelope.salon_id, name, cleaned, bodies.digest(parts))


def _has_our_token(body: dict[str, Any]) -> bool:
    given, ours = body.get("partner_token"), settings.YCLIENTS_PARTNER_TOKEN
    if not ours or not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode("utf-8", "replace"), ours.encode())
