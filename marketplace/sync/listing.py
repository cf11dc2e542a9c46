"""Walks through YClients' list of the salons that use us, and shows those that we know nothing of.

Nothing is created, uninstalled or activated by what a list says: a salon whose owner never reached our page
has nothing here that could serve it, and a salon that is missing from a list may be missing by a fault.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from django.db.models import Q
from django.utils import timezone

from marketplace.models import Discrepancy, Listing
from marketplace.sync import discrepancies
from marketplace.yclients.api import YClients, listed_salon
from marketplace.yclients.call_errors import YClientsError

log = structlog.get_logger("marketplace")

NAME = "salons"
PAGE = 1000  # salons; the most that YClients gives at once
PAGES_MOST = 1000
EVERY = timedelta(hours=6)
FIRST = timedelta(minutes=10)  # after the first worker's first look
AFTER_ERROR = timedelta(minutes=10)
CLAIM = timedelta(minutes=2)


@dataclass(slots=True)
class Page:
    """One page: how many salons it has, and the differences in it by salon."""

    number: int
    listed: int = 0
    differences: dict[int, str] = field(default_factory=dict)

    @property
    def is_last(self) -> bool:
        return self.listed < PAGE or self.number >= PAGES_MOST


def due(*, limit: int) -> list[int]:
    """Return [1] when the next page is to be read, by whichever worker is first."""
    now = timezone.now()
    row, _made = Listing.objects.get_or_create(name=NAME, defaults={"next_at": now + FIRST})
    claimed = row.claimed_until is not None and row.claimed_until > now
    return [1][:limit] if row.next_at <= now and not claimed else []


def read_next(_row: int = 1) -> Page | None:
    """Read the next page of the pass, if it is due; what goes wrong is in the row, and the page stays."""
    now = timezone.now()
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    rows = Listing.objects.filter(name=NAME)
    if not rows.filter(free, next_at__lte=now).update(claimed_until=now + CLAIM):
        return None
    row = rows.get()
    began = row.began_at if row.page > 1 and row.began_at else now
    try:
        page = read(row.page)
    except YClientsError as error:
        rows.update(claimed_until=None, next_at=timezone.now() + AFTER_ERROR, last_error=str(error)[:500])
        log.warning("list of salons not read", page=row.page, cause=str(error))
        return None
    listed = page.listed + (row.listed if row.page > 1 else 0)
    changes: dict[str, Any] = {"page": row.page + 1, "next_at": timezone.now()}
    if page.is_last:
        if listed:  # an empty list is taken for a fault, not for the end of every difference
            discrepancies.resolve_unseen(since=began)
        changes = {"page": 1, "next_at": timezone.now() + EVERY, "finished_at": timezone.now()}
    rows.update(claimed_until=None, last_error="", listed=listed, began_at=began, **changes)
    log.info("list of salons read", page=page.number, listed=page.listed, differences=len(page.differences))
    return page


def read(number: int, *, keep: bool = True) -> Page:
    """Read one page and compare it; unless `keep`, differences are only returned. Raises YClientsError."""
    with YClients(low_priority=True) as yclients:
        rows = yclients.salons(page=number, count=PAGE)
    page = Page(number, listed=len(rows))
    for row in rows:
        if (salon := listed_salon(row)) is None:
            continue
        compare = discrepancies.compare_listed if keep else discrepancies.look_at_listed
        if kind := compare(salon_id=salon.salon_id, title=salon.title, there=salon.status):
            page.differences[salon.salon_id] = kind
    return page


def meaning(kind: str) -> str:
    """What a difference is, in the operators' English."""
    return {
        Discrepancy.Kind.UNKNOWN_HERE.value: "installed in YClients, unknown here",
        Discrepancy.Kind.NOT_ACTIVATED.value: "active in YClients, not activated by us",
    }[kind]
