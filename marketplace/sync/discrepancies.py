"""What support staff see of the differences between YClients and us; nothing here mends anything."""

from collections.abc import Collection, Sequence
from datetime import datetime

from django.utils import timezone

from marketplace.models import Company, Discrepancy
from marketplace.yclients.api import ListedSalon

Kind = Discrepancy.Kind
Statuses = Company.Status
OF_ONE_SALON = (Kind.PENDING_THERE, Kind.MISSING_THERE)
OF_THE_LIST = (Kind.UNKNOWN_HERE, Kind.NOT_ACTIVATED)


def record(
    kind: Discrepancy.Kind, *, salon_id: int, company: Company | None, there: str, title: str = ""
) -> bool:
    """Store the difference for support staff; True when it is new, or open again."""
    now = timezone.now()
    row, made = Discrepancy.objects.get_or_create(
        salon_id=salon_id, kind=kind, defaults={"first_seen_at": now, "last_seen_at": now}
    )
    is_new = made or row.resolved_at is not None
    if is_new:
        row.first_seen_at = now
    row.company, row.there, row.title = company, there, title[:255]
    row.here = company.status if company else ""
    row.last_seen_at, row.resolved_at = now, None
    row.save()
    return is_new


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


def differing(salons: Sequence[ListedSalon]) -> list[Discrepancy]:
    """Compare salons of YClients' list with our rows; return what differs, not stored. One query.

    A salon that waits for us there and has not come here is no difference: its owner has not opened our page
    yet. A salon whose status the list does not say counts as active.
    """
    numbers = [salon.salon_id for salon in salons]
    companies = Company.objects.only("salon_id", "status").in_bulk(numbers, field_name="salon_id")
    found = []
    for salon in salons:
        company = companies.get(salon.salon_id)
        if kind := _difference(company, salon.status):
            found.append(
                Discrepancy(
                    salon_id=salon.salon_id,
                    kind=kind,
                    company=company,
                    title=salon.title[:255],
                    here=company.status if company else "",
                    there=salon.status,
                )
            )
    return found


def store_listed(salons: Sequence[ListedSalon], found: Sequence[Discrepancy]) -> None:
    """Store what `differing` found of these salons, and close what is open of them and was not found.

    Three statements, whatever their number; in the caller's transaction.
    """
    now = timezone.now()
    of_these = Discrepancy.objects.filter(
        salon_id__in=[salon.salon_id for salon in salons], kind__in=OF_THE_LIST, resolved_at__isnull=True
    )
    still_open = {(row.salon_id, row.kind): row for row in of_these}
    for row in found:
        before = still_open.pop((row.salon_id, row.kind), None)
        row.first_seen_at = before.first_seen_at if before else now
        row.last_seen_at, row.resolved_at = now, None
    Discrepancy.objects.filter(pk__in=[row.pk for row in still_open.values()]).update(resolved_at=now)
    Discrepancy.objects.bulk_create(
        {(row.salon_id, row.kind): row for row in found}.values(),
        update_conflicts=True,
        unique_fields=["salon_id", "kind"],
        update_fields=["company", "title", "here", "there", "first_seen_at", "last_seen_at", "resolved_at"],
    )


def _difference(company: Company | None, there: str) -> Discrepancy.Kind | None:
    if there in ("pending", "uninstalled"):
        return None
    if company is None or company.status == Statuses.UNINSTALLED:
        return Kind.UNKNOWN_HERE
    if company.status in (Statuses.PENDING_WHATSAPP, Statuses.ACTIVATION_FAILED):
        return Kind.NOT_ACTIVATED
    return None
