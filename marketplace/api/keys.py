"""Making and recognising keys of the public API."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from marketplace.models import ApiKey, Company

MARK = "wsk"  # lets secret scanners recognise a leaked key
USED_EVERY = timedelta(minutes=1)  # `last_used_at` is written this often at most


def create_key(
    *,
    name: str,
    companies: Sequence[Company],
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    created_by: str = "",
) -> tuple[ApiKey, str]:
    """Make a key for these salons; return its row, and the key, which cannot be read again later.

    Raises ValueError for an unknown scope or without a salon.
    """
    wanted = sorted(set(scopes))
    if not companies or not set(wanted) <= set(ApiKey.Scope.values):
        raise ValueError("a key needs salons and known scopes")
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    with transaction.atomic():
        row = ApiKey.objects.create(
            name=name,
            prefix=prefix,
            key_hash=_hash(secret),
            scopes=wanted,
            expires_at=expires_at,
            created_by=created_by[:150],
        )
        row.companies.set(companies)
    return row, f"{MARK}_{prefix}_{secret}"


def find_key(key: str) -> ApiKey | None:
    """Return the valid row of a key, None for any other text; the comparison takes constant time."""
    mark, _, rest = key.partition("_")
    prefix, _, secret = rest.partition("_")
    if mark != MARK or not key.isascii() or len(key) > 200:
        return None
    row = ApiKey.objects.filter(prefix=prefix).first()
    matches = hmac.compare_digest(_hash(secret), row.key_hash if row else _hash(""))
    if row is None or not matches or not row.is_valid:
        return None
    _note_use(row)
    return row


def revoke_key(row: ApiKey) -> bool:
    """End the key at once; False when it was revoked before."""
    return bool(ApiKey.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=timezone.now()))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _note_use(row: ApiKey) -> None:
    now = timezone.now()
    if row.last_used_at is None or row.last_used_at < now - USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_EVERY)
        ApiKey.objects.filter(stale, pk=row.pk).update(last_used_at=now)
