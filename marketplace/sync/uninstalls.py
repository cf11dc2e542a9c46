"""Settles uninstalls that a webhook has announced: YClients itself is asked before anything is destroyed.

Those that support staff asked for are settled here too: YClients is told to remove the application first.

The webhook proves only that its sender knows the partner token. "uninstalled" is YClients' word and is
believed at once. That it knows of no installation (404) must be said twice, seconds apart, and never of many
salons at once without a person's word, because a wrong application id would look the same. A salon that was
served here and that YClients calls "pending" was uninstalled and is being connected anew. When YClients has
not been able to answer for a day, the webhook is believed.
"""

from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from config.shared.queue import Queue
from marketplace.models import Company, Discrepancy, UninstallRequest
from marketplace.salons import lifecycle
from marketplace.sync import discrepancies, repairs
from marketplace.yclients.api import ABSENT, YClients
from marketplace.yclients.call_errors import Kind, YClientsError

log = structlog.get_logger("marketplace")

SECOND_QUESTION = timedelta(seconds=5)  # after a first 404, which might be a fault of that moment
BELIEVED_AFTER = timedelta(days=1)  # without any answer of YClients
HELD_BACK = timedelta(hours=1)
BY = "uninstall check"
SERVED = (Company.Status.ACTIVE, Company.Status.FROZEN)
REQUESTS = Queue(
    name="uninstalls",
    model=UninstallRequest,
    due_at="next_at",
    claimed_until="claimed_until",
    lease=timedelta(minutes=2),  # longer than one question with its retries
    first=2.0,
    longest=600.0,
)


def check(request_id: int) -> None:
    """Ask YClients about one request that is due, and do what it says."""
    row = REQUESTS.claim(request_id)
    if row is None:
        return
    company = row.company
    try:
        with YClients() as yclients:
            refused = _remove(yclients, company) if row.remove_there else None
            status = yclients.installation(company.salon_id).status
    except YClientsError as error:
        _handle_failure(row, error)
        return
    with transaction.atomic():
        current = lifecycle.locked(company.salon_id)
        if current is None or _moved_on(current, company):
            REQUESTS.finish(row, next_at=timezone.now() + timedelta(seconds=5))
            return
        action = _settle_removal(row, current, status, refused) if row.remove_there else ""
        action = action or _settle(row, current, status)
    log.info("uninstall checked", salon_id=company.salon_id, installation=status, did=action)


def _remove(yclients: YClients, company: Company) -> YClientsError | None:
    """Have YClients remove the application; return its refusal, which it gives too when that is done already.

    Raises YClientsError when it could not be asked.
    """
    try:
        yclients.uninstall(company.salon_id)
    except YClientsError as error:
        if not error.permanent:
            raise
        return error
    return None


def _settle_removal(
    row: UninstallRequest, company: Company, status: str, refused: YClientsError | None
) -> str:
    """What is special when we remove the application: a 404 is no surprise, and "active" only a delay."""
    if status == ABSENT:
        return _uninstall(company, status)
    if status in ("active", "freezed") and refused is None:
        REQUESTS.retry(row, error="YClients has not removed the application yet")
        return "asked again later"
    return ""


def _moved_on(current: Company, asked_about: Company) -> bool:
    """The salon changed while YClients was asked, so the answer may be about what was before."""
    return (current.status, current.registered_at) != (asked_about.status, asked_about.registered_at)


def _settle(row: UninstallRequest, company: Company, status: str) -> str:
    """Do what YClients' answer calls for; return what was done."""
    if status == ABSENT:
        return _settle_missing(row, company)
    if status == "uninstalled" or (status == "pending" and company.status in SERVED):
        return _uninstall(company, status)
    lifecycle.deny_uninstall(company, by=BY, said=status)
    if status != "pending":
        discrepancies.record(
            Discrepancy.Kind.UNINSTALL_DENIED, salon_id=company.salon_id, company=company, there=status
        )
        log.error(
            "an uninstall was sent that YClients denies", salon_id=company.salon_id, installation=status
        )
    return "denied"


def _settle_missing(row: UninstallRequest, company: Company) -> str:
    now = timezone.now()
    since = row.missing_since or now
    if now - since < SECOND_QUESTION:
        REQUESTS.finish(row, next_at=since + SECOND_QUESTION, missing_since=since, failing_since=None)
        return "asked again later"
    if repairs.too_many_are_missing(besides=company):
        kind = Discrepancy.Kind.MISSING_THERE
        if discrepancies.record(kind, salon_id=company.salon_id, company=company, there=ABSENT):
            log.error("many salons gone at once, nothing destroyed", salon_id=company.salon_id)
        REQUESTS.finish(row, next_at=now + HELD_BACK, failing_since=None)
        return "held back"
    return _uninstall(company, ABSENT)


def _uninstall(company: Company, status: str) -> str:
    lifecycle.uninstall(company, by=BY, yclients=status)
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
    REQUESTS.held(row).update(failing_since=since)
    REQUESTS.retry(row, error=str(error), retry_after=error.retry_after)
