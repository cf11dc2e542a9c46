"""What is done when YClients and we differ about a salon. Database only, in the caller's transaction.

"Uninstalled" is YClients' statement about one salon and is believed; that it knows of no installation (404)
must be seen twice, 15 minutes apart, before a device is unlinked and keys are destroyed. When many salons are
gone at once, an operator has to confirm it, because a wrong application id or address would look the same.
"""

import random
from datetime import timedelta

import structlog
from django.db.models import Q
from django.utils import timezone

from marketplace.models import Company, CompanyCheck, Discrepancy, MarketplaceEvent, UninstallRequest
from marketplace.salons import lifecycle
from marketplace.sync import discrepancies
from marketplace.yclients.api import ABSENT

log = structlog.get_logger("marketplace")

CHECK_EVERY = timedelta(hours=6)
SECOND_CHECK = timedelta(minutes=15)
MISSING_FREELY = 3  # so many salons may be gone at once without an operator's confirmation,
MISSING_SHARE = 0.05  # or this share of all
Status = Company.Status
Kind = Discrepancy.Kind
COMPARED = (Status.ACTIVE, Status.FROZEN)
GONE = ("uninstalled", ABSENT)
ASKED_AGAIN = "asked again later"


def wanted_action(here: str, there: str) -> str:
    """Return what YClients' status `there` calls for; `agrees` when nothing."""
    if there in GONE:
        return "uninstall" if here in COMPARED else "agrees"
    differences = {
        (Status.ACTIVE, "freezed"): "freeze",
        (Status.FROZEN, "active"): "unfreeze",
        (Status.ACTIVE, "pending"): "show",
        (Status.FROZEN, "pending"): "show",
    }
    return differences.get((Status(here), there), "agrees")


def repair(
    row: CompanyCheck, company: Company, there: str, *, confirmed: bool, apart: timedelta
) -> tuple[str, timedelta]:
    """Do what YClients' answer calls for; return what was done and when to ask again."""
    wanted = wanted_action(company.status, there)
    if UninstallRequest.objects.filter(company=company, remove_there=True).exists():
        return "being removed", _interval(company)
    if wanted == "uninstall":
        return _settle_missing(row, company, there, confirmed=confirmed, apart=apart)
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


def _settle_missing(
    row: CompanyCheck, company: Company, there: str, *, confirmed: bool, apart: timedelta
) -> tuple[str, timedelta]:
    """YClients says that we are not installed: believe no mere 404 at once, nor anything of many at once."""
    now = timezone.now()
    is_first, row.missing_since = row.missing_since is None, row.missing_since or now
    if not confirmed:
        waited = now - row.missing_since
        if there == ABSENT and (is_first or waited < apart):
            return ASKED_AGAIN, SECOND_CHECK - waited
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
