"""What support staff see of the differences between YClients and us; nothing here mends anything."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from marketplace.models import Company, Discrepancy

Kind = Discrepancy.Kind
Statuses = Company.Status
OF_ONE_SALON = (Kind.PENDING_THERE, Kind.MISSING_THERE)
OF_THE_LIST = (Kind.UNKNOWN_HERE, Kind.NOT_ACTIVATED)


def show(
    kind: Discrepancy.Kind, *, salon_id: int, company: Company | None, there: str, title: str = ""
) -> bool:
    """Keep the difference for support staff; True when it is new, or open again."""
    now = timezone.now()
    row, made = Discrepancy.objects.get_or_create(
        salon_id=salon_id, kind=kind, defaults={"first_seen_at": now, "last_seen_at": now}
    )
    news = made or row.resolved_at is not None
    if news:
        row.first_seen_at = now
    row.company, row.there, row.title = company, there, title[:255]
    row.here = company.status if company else ""
    row.last_seen_at, row.resolved_at = now, None
    row.save()
    return news


def resolve(*, salon_id: int, kinds: Collection[str]) -> None:
    """The differences of these kinds are gone."""
    Discrepancy.objects.filter(salon_id=salon_id, kind__in=kinds, resolved_at__isnull=True).update(
        resolved_at=timezone.now()
    )


def resolve_unseen(*, since: datetime) -> None:
    """What a whole pass through YClients' list has not seen again is gone."""
    Discrepancy.objects.filter(kind__in=OF_THE_LIST, resolved_at__isnull=True, last_seen_at__lt=since).update(
        resolved_at=timezone.now()
    )


def compare_listed(*, salon_id: int, title: str, there: str) -> str:
    """Compare one salon of YClients' list with our row; return the kind of the difference, or nothing.

    `there` is the installation's status, empty where the list does not say it. A salon that is waiting for
    us there and has not come here is no difference: its owner has not opened our page yet.
    """
    with transaction.atomic():
        company = Company.objects.filter(salon_id=salon_id).first()
        kind = _difference(company, there)
        if kind is None:
            resolve(salon_id=salon_id, kinds=OF_THE_LIST)
            return ""
        show(kind, salon_id=salon_id, company=company, there=there, title=title)
        return kind


def look_at_listed(*, salon_id: int, title: str, there: str) -> str:
    """As `compare_listed`, and keep nothing."""
    return _difference(Company.objects.filter(salon_id=salon_id).first(), there) or ""


def _difference(company: Company | None, there: str) -> Discrepancy.Kind | None:
    if there in ("pending", "uninstalled"):
        return None
    if company is None or company.status == Statuses.UNINSTALLED:
        return Kind.UNKNOWN_HERE
    if company.status in (Statuses.PENDING_WHATSAPP, Statuses.ACTIVATION_FAILED):
        return Kind.NOT_ACTIVATED
    return None
