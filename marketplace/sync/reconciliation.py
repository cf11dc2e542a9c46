"""Compares salons with YClients, since any webhook may have been lost, and repairs what is certain.

Frozen salons are asked about every 15 minutes (a payment should not wait), active ones every 6 hours
(YCLIENTS API reference, Marketplace: the installation's status). An error, or an answer that makes no sense,
changes nothing. `repairs` does what an answer calls for.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from config.shared.queue import Queue
from marketplace.models import Company, CompanyCheck
from marketplace.salons import lifecycle
from marketplace.sync import repairs
from marketplace.sync.repairs import CHECK_EVERY, COMPARED, SECOND_CHECK
from marketplace.yclients.api import YClients
from marketplace.yclients.call_errors import YClientsError

log = structlog.get_logger("marketplace")

CHECKS = Queue(
    name="reconciliation",
    model=CompanyCheck,
    due_at="next_at",
    claimed_until="claimed_until",
    attempts="",
    lease=timedelta(minutes=2),  # longer than one question with its retries
    first=600.0,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one comparison; `action` is `agrees`, what was done, or why nothing was."""

    salon_id: int
    here: str
    there: str
    action: str


def ready() -> QuerySet[CompanyCheck]:
    """The rows of salons that YClients is to be asked about now."""
    rows = CHECKS.ready().filter(company__status__in=COMPARED)
    return rows.filter(company__uninstall_request__isnull=True)  # those are asked about by `uninstalls`


def due(*, limit: int) -> list[int]:
    """Return ids of the rows of salons that YClients is to be asked about now."""
    unknown = Company.objects.filter(status__in=COMPARED, check_row__isnull=True).only("created_at")
    CompanyCheck.objects.bulk_create(
        [CompanyCheck(company=company, next_at=company.created_at + CHECK_EVERY) for company in unknown],
        ignore_conflicts=True,
    )
    return list(ready().values_list("pk", flat=True)[:limit])


def check(row_id: int) -> None:
    """Compare one salon that is due; what goes wrong is in its row."""
    if (row := CHECKS.claim(row_id)) is None:
        return
    try:
        finding = compare(row)
    except YClientsError as error:
        log.warning("salon not compared", salon_id=row.company.salon_id, cause=str(error))
    else:
        log.info("salon compared", salon_id=finding.salon_id, installation=finding.there, did=finding.action)


def check_now(
    company: Company, *, confirmed: bool = False, apart: timedelta = SECOND_CHECK
) -> Finding | None:
    """Compare one salon whether it is due or not; None when another process is just doing that.

    `confirmed`: an operator has said that a salon which YClients does not list is to be uninstalled; `apart`:
    how long after the first look a second one counts. Raises YClientsError.
    """
    row, _made = CompanyCheck.objects.get_or_create(company=company, defaults={"next_at": timezone.now()})
    claimed = CHECKS.claim(row.pk, early=True)
    return compare(claimed, confirmed=confirmed, apart=apart) if claimed else None


def preview(company: Company) -> Finding:
    """Say what a comparison would do, and do nothing. Raises YClientsError."""
    with YClients(low_priority=True) as yclients:
        there = yclients.installation(company.salon_id).status
    return Finding(company.salon_id, company.status, there, repairs.wanted_action(company.status, there))


def compare(row: CompanyCheck, *, confirmed: bool = False, apart: timedelta = SECOND_CHECK) -> Finding:
    """Ask YClients about the salon of a claimed row, and repair what is certain.

    Raises YClientsError; ClaimLost when it took too long, and then nothing is changed.
    """
    company = row.company
    try:
        with YClients(low_priority=True) as yclients:
            there = yclients.installation(company.salon_id).status
    except YClientsError as error:
        CHECKS.retry(row, error=str(error), retry_after=error.retry_after)
        raise
    with transaction.atomic():
        current = lifecycle.locked(company.salon_id)
        if current is None or (current.status, current.registered_at) != (
            company.status,
            company.registered_at,
        ):
            action, again = "changed meanwhile", timedelta(minutes=1)
        else:
            action, again = repairs.repair(row, current, there, confirmed=confirmed, apart=apart)
        CHECKS.finish(
            row,
            next_at=timezone.now() + again,
            said=there,
            checked_at=timezone.now(),
            missing_since=row.missing_since,
        )
    return Finding(company.salon_id, company.status, there, action)


def make_due(company: Company) -> None:
    """Let a worker compare this salon next."""
    now = timezone.now()
    CompanyCheck.objects.update_or_create(company=company, defaults={"next_at": now})
