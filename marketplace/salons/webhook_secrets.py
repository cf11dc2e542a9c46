"""The secret in a salon's webhook address: whose it is, and how it is replaced without losing a webhook.

YClients has no documented call that changes the address of an active salon; it is given with the activation
alone. So an old address goes on working for some days, while somebody enters the new one in YClients.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from marketplace.models import Company, MarketplaceEvent
from whatsapp.crypto.encryption import lookup_digest, lookup_digests


class NoAddress(Exception):
    """The salon has no webhook address: it was never activated, or is uninstalled."""


def address_of(company: Company) -> str:
    """The salon's webhook address; whoever knows it can send webhooks in the salon's name."""
    return f"{settings.BASE_URL}/webhook/yclients/{company.webhook_secret}"


def companies_by_secret(given: Iterable[str]) -> dict[str, Company]:
    """The salons whose address has one of these secrets, now or until the end of an overlap; one query."""
    digests = {digest: secret for secret in given if secret for digest in lookup_digests(secret)}
    if not digests:
        return {}
    replaced = Q(old_webhook_secret_digest__in=digests, old_webhook_secret_until__gt=timezone.now())
    rows = Company.objects.filter(Q(webhook_secret_digest__in=digests) | replaced)
    found = {}
    for company in rows.only("salon_id", "webhook_secret_digest", "old_webhook_secret_digest"):
        for digest in (company.webhook_secret_digest, company.old_webhook_secret_digest):
            if digest in digests:
                found[digests[digest]] = company
    return found


def rotate(*, company: Company, overlap: timedelta, by: str) -> datetime:
    """Give the salon a new webhook address and return until when the old one works.

    Writes an event. Raises NoAddress; loses to an activation or uninstall at the same time, and raises
    NoAddress then too.
    """
    if not company.webhook_secret:
        raise NoAddress
    secret, until = secrets.token_urlsafe(32), timezone.now() + overlap
    changed = Company.objects.filter(
        pk=company.pk, webhook_secret_digest=company.webhook_secret_digest
    ).update(
        webhook_secret=secret,
        webhook_secret_digest=lookup_digest(secret),
        old_webhook_secret=company.webhook_secret,
        old_webhook_secret_digest=company.webhook_secret_digest,
        old_webhook_secret_until=until,
        updated_at=timezone.now(),
    )
    company.refresh_from_db()
    if not changed:
        raise NoAddress
    company.note(MarketplaceEvent.Type.WEBHOOK_ADDRESS_CHANGED, by=by, old_until=until.isoformat())
    return until
