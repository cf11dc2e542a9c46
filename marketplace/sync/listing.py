"""Walks through YClients' list of the salons that use us, and shows those that we know nothing of.

Nothing is created, uninstalled or activated by what a list says: a salon whose owner never reached our page
has nothing here that could serve it, and a salon that is missing from a list may be missing by a fault.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from config.shared.queue import Queue
from marketplace.models import Discrepancy, Listing
from marketplace.sync import discrepancies
from marketplace.yclients.api import ListedSalon, YClients, listed_salon
from marketplace.yclients.call_errors import YClientsError

log = structlog.get_logger("marketplace")

NAME = "salons"
PAGE = 1000  # salons; the most that YClients gives at once
PAGES_MOST = 1000
EVERY = timedelta(hours=6)
FIRST = timedelta(minutes=10)  # after a worker has started for the first time
LISTINGS = Queue(
    name="listing",
    model=Listing,
    due_at="next_at",
    claimed_until="claimed_until",
    attempts="",
    lease=timedelta(minutes=2),
    first=600.0,
)


@dataclass(slots=True)
class Page:
    """One page: its rows as YClients gave them, the salons in them, and what differs from ours."""

    number: int
    listed: int
    salons: list[ListedSalon]
    differences: list[Discrepancy]

    @property
    def is_last(self) -> bool:
        return self.listed < PAGE or self.number >= PAGES_MOST


def due(*, limit: int) -> list[str]:
    """Return the key of the list when its next page is to be read."""
    Listing.objects.get_or_create(name=NAME, defaults={"next_at": timezone.now() + FIRST})
    return LISTINGS.due(limit=limit)


def read_next(name: str = NAME) -> Page | None:
    """Read the next page of the pass, if it is due; what goes wrong is in the row, and the page stays.

    Raises ClaimLost when it took too long, and then nothing is stored.
    """
    row = LISTINGS.claim(name)
    if row is None:
        return None
    try:
        page = read(row.page)
    except YClientsError as error:
        LISTINGS.retry(row, error=str(error), retry_after=error.retry_after)
        log.warning("list of salons not read", page=row.page, cause=str(error))
        return None
    with transaction.atomic():
        _store(row, page)
    log.info("list of salons read", page=page.number, listed=page.listed, differences=len(page.differences))
    return page


def read(number: int) -> Page:
    """Read one page and compare it; nothing is stored. Raises YClientsError."""
    with YClients(low_priority=True) as yclients:
        rows = yclients.salons(page=number, count=PAGE)
    salons = [salon for row in rows if (salon := listed_salon(row)) is not None]
    return Page(number, len(rows), salons, discrepancies.differing(salons))


def _store(row: Listing, page: Page) -> None:
    now = timezone.now()
    is_first = row.page <= 1
    began = row.began_at if row.began_at and not is_first else now
    listed = page.listed + (0 if is_first else row.listed)
    changes: dict[str, Any] = {"page": row.page + 1, "next_at": now}
    if page.is_last:
        changes = {"page": 1, "next_at": now + EVERY, "finished_at": now}
    LISTINGS.finish(row, listed=listed, began_at=began, **changes)
    discrepancies.store_listed(page.salons, page.differences)
    if page.is_last and listed:  # an empty list is taken for a fault, not for the end of every difference
        discrepancies.resolve_unseen(since=began)


def meaning(kind: str) -> str:
    """What a difference is, in the operators' English."""
    return {
        Discrepancy.Kind.UNKNOWN_HERE.value: "installed in YClients, unknown here",
        Discrepancy.Kind.NOT_ACTIVATED.value: "active in YClients, not activated by us",
    }[kind]
