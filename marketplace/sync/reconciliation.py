"""Compares salons with YClients, since any webhook may have been lost, and repairs what is certain.

Frozen salons are asked about every 15 minutes (a payment should not wait), active ones every 6 hours
(YCLIENTS API reference, Marketplace: the installation's status). An error, or an answer that makes no sense,
changes nothing. "Uninstalled" is YClients' word about one salon and is believed; that it knows of no
installation (404) must be said twice, 15 minutes apart, before a device is unlinked and keys are destroyed.
When many salons are gone at once, an operator has to confirm it, because a wrong application id or address
would look the same.
"""

import random
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from config.shared.queue import Queue
from marketplace.models import Company, CompanyCheck, Discrepancy, MarketplaceEvent, UninstallRequest
from marketplace.salons import lifecycle
from marketplace.sync import discrepancies
from marketplace.yclients.api import ABSENT, YClients
from marketplace.yclients.call_errors import YClientsError

log = structlog.get_logger("marketplace")

CHECK_EVERY = timedelta(hours=6)
SECOND_LOOK = timedelta(minutes=15)
MISSING_FREELY = 3  # so many salons may be gone at once without a person's word,
MISSING_SHARE = 0.05  # or this share of all
Status = Company.Status
Kind = Discrepancy.Kind
COMPARED = (Status.ACTIVE, Status.FROZEN)
GONE = ("uninstalled", ABSENT)
ASKED_AGAIN = "asked again later"
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


def due(*, limit: int) -> list[int]:
    """Return ids of the rows of salons that YClients is to be asked about now."""
    unknown = Company.objects.filter(status__in=COMPARED, check_row__isnull=True).only("created_at")
    CompanyCheck.objects.bulk_create(
        [CompanyCheck(company=company, next_at=company.created_at + CHECK_EVERY) for company in unknown],
        ignore_conflicts=True,
    )
    rows = CHECKS.ready().filter(company__status__in=COMPARED)
    rows = rows.filter(company__uninstall_request__isnull=True)  # those are asked about by `uninstalls`
    return list(rows.values_list("pk", flat=True)[:limit])


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


def check_now(company: Company, *, confirmed: bool = False, apart: timedelta = SECOND_LOOK) -> Finding | None:
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
    return Finding(company.salon_id, company.status, there, _wanted(company.status, there))


def _wanted(here: str, there: str) -> str:
    if there in GONE:
        return "uninstall" if here in COMPARED else "agrees"
    differences = {
        (Status.ACTIVE, "freezed"): "freeze",
        (Status.FROZEN, "active"): "unfreeze",
        (Status.ACTIVE, "pending"): "show",
        (Status.FROZEN, "pending"): "show",
    }
    return differences.get((Status(here), there), "agrees")


def compare(row: CompanyCheck, *, confirmed: bool = False, apart: timedelta = SECOND_LOOK) -> Finding:
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
            action, again = _repair(row, current, there, confirmed=confirmed, apart=apart)
        CHECKS.finish(
            row,
            next_at=timezone.now() + again,
            said=there,
            checked_at=timezone.now(),
            missing_since=row.missing_since,
        )
    return Finding(company.salon_id, company.status, there, action)


def _repair(
    row: CompanyCheck, company: Company, there: str, *, confirmed: bool, apart: timedelta
) -> tuple[str, timedelta]:
    """Do what YClients' word calls for; return what was done and when to ask again."""
    wanted = _wanted(company.status, there)
    if UninstallRequest.objects.filter(company=company, remove_there=True).exists():
        return "being removed", _interval(company)
    if wanted == "uninstall":
        return _missing(row, company, there, confirmed=confirmed, apart=apart)
    row.missing_since = None
    if wanted == "freeze":
        lifecycle.freeze(company, by="reconciliation")
    elif wanted == "unfreeze" and not lifecycle.deny_uninstall(company, by="reconciliation", said=there):
        lifecycle.unfreeze(company, by="reconciliation")
    if wanted == "show":
        # The application was removed and is being connected again: the owner's visit to our page settles it.
        discrepancies.record(Kind.PENDING_THERE, salon_id=company.salon_id, company=company, there=there)
        return "shown to support", _interval(company)
    discrepancies.resolve(salon_id=company.salon_id, kinds=discrepancies.OF_ONE_SALON)
    return {"freeze": "frozen", "unfreeze": "unfrozen"}.get(wanted, wanted), _interval(company)


def _interval(company: Company) -> timedelta:
    if company.status == Status.FROZEN:
        return lifecycle.CHECK_FROZEN_EVERY
    return CHECK_EVERY * random.uniform(0.9, 1.1)  # noqa: S311  spreads load, guards nothing


def _missing(
    row: CompanyCheck, company: Company, there: str, *, confirmed: bool, apart: timedelta
) -> tuple[str, timedelta]:
    """YClients says that we are not installed: believe no mere 404 at once, nor anything of many at once."""
    now = timezone.now()
    first_look, row.missing_since = row.missing_since is None, row.missing_since or now
    if not confirmed:
        waited = now - row.missing_since
        if there == ABSENT and (first_look or waited < apart):
            return ASKED_AGAIN, SECOND_LOOK - waited
        if too_many_are_missing(besides=company):
            if discrepancies.record(
                Kind.MISSING_THERE, salon_id=company.salon_id, company=company, there=there
            ):
                log.error("many salons gone at once, nothing destroyed", salon_id=company.salon_id)
            return "held back", timedelta(hours=1)
    lifecycle.uninstall(company, by="reconciliation")
    discrepancies.resolve(salon_id=company.salon_id, kinds=discrepancies.OF_ONE_SALON)
    row.missing_since = None
    return "uninstalled", CHECK_EVERY


def too_many_are_missing(*, besides: Company) -> bool:
    """Whether so many salons are gone that a person has to confirm it.

    Counted are this one, the others that are to be uninstalled, and those that lately were by a comparison.
    """
    lately = timezone.now() - CHECK_EVERY
    missing_in_queue = Q(check_row__missing_since__isnull=False) | Q(
        uninstall_request__missing_since__isnull=False
    )
    others = Company.objects.filter(missing_in_queue, status__in=COMPARED).exclude(pk=besides.pk)
    missing = 1 + others.count()
    found_gone = Q(event_data__by="reconciliation") | Q(event_data__yclients=ABSENT)
    gone = MarketplaceEvent.objects.filter(
        found_gone, event_type=MarketplaceEvent.Type.UNINSTALLED, created_at__gt=lately
    ).count()
    ours = Company.objects.filter(status__in=COMPARED).count()
    return missing + gone > max(MISSING_FREELY, MISSING_SHARE * (ours + gone))


def make_due(company: Company) -> None:
    """Let a worker compare this salon next."""
    now = timezone.now()
    CompanyCheck.objects.update_or_create(company=company, defaults={"next_at": now})
