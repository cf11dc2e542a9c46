"""Settles uninstalls that a webhook has announced: YClients itself is asked before anything is destroyed.

The webhook proves only that its sender knows the partner token. "uninstalled" is YClients' word and is
believed at once. That it knows of no installation (404) must be said twice, a minute apart, and never of many
salons at once without a person's word, because a wrong application id would look the same. A salon that was
served here and that YClients calls "pending" was uninstalled and is being connected anew. When YClients has
not been able to answer for a day, the webhook is believed.
"""

import random
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from marketplace.models import Company, Discrepancy, UninstallRequest
from marketplace.salons import lifecycle
from marketplace.sync import discrepancies, reconciliation
from marketplace.yclients.api import ABSENT, YClients
from marketplace.yclients.call_errors import Kind, YClientsError

log = structlog.get_logger("marketplace")

CLAIM = timedelta(minutes=2)  # longer than one question with its retries
SECOND_QUESTION = timedelta(minutes=1)  # after a first 404
BELIEVED_AFTER = timedelta(days=1)  # without any answer of YClients
HELD_BACK = timedelta(hours=1)
LONGEST_PAUSE = 600.0  # seconds
BY = "uninstall check"
SERVED = (Company.Status.ACTIVE, Company.Status.FROZEN)


def due(*, limit: int) -> list[int]:
    """Return ids of the requests that YClients is to be asked about now."""
    now = timezone.now()
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    rows = UninstallRequest.objects.filter(free, next_at__lte=now).order_by("next_at")
    return list(rows.values_list("pk", flat=True)[:limit])


def check(request_id: int) -> None:
    """Ask YClients about one request that is due, and do what it says."""
    row = _claim(request_id)
    if row is None:
        return
    company = row.company
    try:
        with YClients() as yclients:
            said = yclients.installation(company.salon_id).status
    except YClientsError as error:
        _handle_failure(row, error)
        return
    with transaction.atomic():
        current = lifecycle.locked(company.salon_id)
        if current is None or _moved_on(current, company):
            _ask_again(row, after=timedelta(seconds=5))
            return
        action = _settle(row, current, said)
    log.info("uninstall checked", salon_id=company.salon_id, installation=said, did=action)


def _claim(request_id: int) -> UninstallRequest | None:
    now = timezone.now()
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    claimed = UninstallRequest.objects.filter(free, pk=request_id, next_at__lte=now).update(
        claimed_until=now + CLAIM, attempts=F("attempts") + 1
    )
    if not claimed:
        return None
    return UninstallRequest.objects.select_related("company").filter(pk=request_id).first()


def _moved_on(current: Company, asked_about: Company) -> bool:
    """The salon changed while YClients was asked, so the answer may be about what was before."""
    return (current.status, current.registered_at) != (asked_about.status, asked_about.registered_at)


def _ask_again(row: UninstallRequest, *, after: timedelta, **changes: Any) -> None:
    UninstallRequest.objects.filter(pk=row.pk).update(
        claimed_until=None, next_at=timezone.now() + after, **changes
    )


def _settle(row: UninstallRequest, company: Company, said: str) -> str:
    """Do what YClients' word calls for; return what was done."""
    if said == ABSENT:
        return _settle_missing(row, company)
    if said == "uninstalled" or (said == "pending" and company.status in SERVED):
        return _uninstall(company, said)
    lifecycle.deny_uninstall(company, by=BY, said=said)
    if said != "pending":
        discrepancies.show(
            Discrepancy.Kind.UNINSTALL_DENIED, salon_id=company.salon_id, company=company, there=said
        )
        log.error("an uninstall was sent that YClients denies", salon_id=company.salon_id, installation=said)
    return "denied"


def _settle_missing(row: UninstallRequest, company: Company) -> str:
    now = timezone.now()
    since = row.missing_since or now
    if now - since < SECOND_QUESTION:
        left = SECOND_QUESTION - (now - since)
        _ask_again(row, after=left, missing_since=since, failing_since=None, last_error="")
        return "asked again later"
    if reconciliation.too_many_are_missing(besides=company):
        kind = Discrepancy.Kind.MISSING_THERE
        if discrepancies.show(kind, salon_id=company.salon_id, company=company, there=ABSENT):
            log.error("many salons gone at once, nothing destroyed", salon_id=company.salon_id)
        _ask_again(row, after=HELD_BACK, failing_since=None, last_error="")
        return "held back"
    return _uninstall(company, ABSENT)


def _uninstall(company: Company, said: str) -> str:
    lifecycle.uninstall(company, by=BY, yclients=said)
    discrepancies.resolve(
        salon_id=company.salon_id, kinds=(*discrepancies.OF_ONE_SALON, Discrepancy.Kind.UNINSTALL_DENIED)
    )
    return "uninstalled"


def _handle_failure(row: UninstallRequest, error: YClientsError) -> None:
    """YClients could not be asked: later again, and after a day the webhook is believed."""
    company, now = row.company, timezone.now()
    log.warning("uninstall not checked", salon_id=company.salon_id, cause=str(error))
    # That our own calls are used up, or that we are not configured, says nothing of YClients.
    ours = error.kind in (Kind.BUSY, Kind.UNCONFIGURED)
    since = row.failing_since if ours else row.failing_since or now
    if not ours and since is not None and now - since >= BELIEVED_AFTER:
        with transaction.atomic():
            current = lifecycle.locked(company.salon_id)
            if current is not None and not _moved_on(current, company):
                _uninstall(current, "no answer for a day")
                return
    pause = 1 + random.uniform(0, min(LONGEST_PAUSE, 2.0 ** min(row.attempts, 12)))  # noqa: S311 spreads load
    _ask_again(row, after=timedelta(seconds=pause), failing_since=since, last_error=str(error)[:500])
