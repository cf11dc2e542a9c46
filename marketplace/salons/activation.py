"""Activation: YClients is told that a salon's WhatsApp works, and is given the salon's API key.

The page, the worker and a command may all ask for it at once: a claim in the row lets one of them work and
the others wait for its result.
"""

import time
from typing import Any

import structlog
from django.db.models import Q, QuerySet
from django.utils import timezone

from config.shared import hints
from marketplace.models import Company, WrongStatus
from marketplace.salons.activation_attempt import (
    CALL_PATIENCE,
    QUEUE,
    UNFINISHED,
    ActivationResult,
    Attempt,
)
from marketplace.salons.activation_errors import (
    DISPUTED,
    NOT_AWAITING,
    NOT_CONNECTED,
    RUNNING,
    UNCLEAR,
    ActivationError,
    ActivationRefused,
    ActivationUnfinished,
    AlreadyRunning,
    NotAwaiting,
    NotConnected,
)
from marketplace.yclients.api import YClients
from whatsapp.sessions import services

log = structlog.get_logger("activation")

__all__ = [
    "ActivationError",
    "ActivationRefused",
    "ActivationResult",
    "ActivationUnfinished",
    "AlreadyRunning",
    "NotAwaiting",
    "NotConnected",
    "activate",
    "activate_due",
    "due",
    "request_retry",
]

WAIT_FOR_OTHER = 10.0  # seconds that a page's call waits for an activation that already runs
POLL = 0.2

Status = Company.Status


def activate(*, company: Company, cause: str, wait: float = WAIT_FOR_OTHER) -> ActivationResult:
    """Activate the salon once, whoever asks and however often.

    `cause` goes into the event ("page", "worker", …); `wait` is how long, in seconds, to wait for another
    activation of the same salon. An active salon is answered at once. Calls YClients: never call it within
    a transaction. Raises NotConnected, NotAwaiting, AlreadyRunning, ActivationRefused, ActivationUnfinished.
    """
    ends = time.monotonic() + wait
    company.refresh_from_db()
    while company.status != Status.ACTIVE:
        _check_ready(company)
        if (claimed := QUEUE.claim(company.pk, early=True, activation_next_at=None)) is not None:
            return _run(company, cause=cause, claimed=claimed)
        if time.monotonic() >= ends:
            raise AlreadyRunning(RUNNING)
        time.sleep(POLL)
        company.refresh_from_db()
        _check_result_of_other(company)
    return ActivationResult(company, company.redirect_url, {"status": "active"})


def request_retry(*, company: Company, cause: str) -> None:
    """Let a worker activate the salon within seconds, with no waiting time left from earlier failures.

    Raises NotAwaiting for a salon that is active, frozen or uninstalled.
    """
    fresh: dict[str, Any] = {"activation_attempts": 0, "activation_next_at": None, "activation_error": ""}
    try:
        company.move(
            to=Status.PENDING_WHATSAPP, sources=[Status.PENDING_WHATSAPP, Status.ACTIVATION_FAILED], **fresh
        )
    except WrongStatus as error:
        hurried = Company.objects.filter(pk=company.pk, status=Status.ACTIVATING).update(**fresh)
        if not hurried:
            raise NotAwaiting(NOT_AWAITING) from error
    log.info("activation asked for", salon_id=company.salon_id, by=cause)
    if company.session is not None:
        services.mark_changed(session=company.session)
    hints.wake_workers()


def ready() -> QuerySet[Company]:
    """The companies to activate now: their phone is connected, or an activation was cut short."""
    begun = Q(status=Status.PENDING_WHATSAPP, session__status="connected") | Q(status=Status.ACTIVATING)
    return QUEUE.ready().filter(begun)


def due(*, limit: int) -> list[int]:
    """Return ids of companies to activate now."""
    return list(ready().values_list("pk", flat=True)[:limit])


def activate_due(company_id: int) -> None:
    """Activate one due salon; what goes wrong is in its row."""
    company = Company.objects.get(pk=company_id)
    try:
        activate(company=company, cause="worker", wait=0)
    except ActivationError as error:
        log.info("not activated", salon_id=company.salon_id, cause=type(error).__name__)


def _check_ready(company: Company) -> None:
    if company.status not in UNFINISHED or company.session is None:
        raise NotAwaiting(NOT_AWAITING)
    if company.disputed_at:
        raise NotAwaiting(DISPUTED)
    # One that was begun is brought to its end even while the line is down for a moment.
    if company.status != Status.ACTIVATING and not company.session.is_connected:
        raise NotConnected(NOT_CONNECTED)


def _check_result_of_other(company: Company) -> None:
    """Raise what the other activation, for which we waited, came to; nothing while it runs."""
    now = timezone.now()
    if company.activation_claimed_until and company.activation_claimed_until > now:
        return
    if company.status == Status.ACTIVATION_FAILED:
        raise ActivationRefused(company.activation_error)
    if company.activation_next_at and company.activation_next_at > now:
        raise ActivationUnfinished(UNCLEAR)


def _run(company: Company, *, cause: str, claimed: Company) -> ActivationResult:
    with YClients(patience=CALL_PATIENCE) as yclients:
        attempt = Attempt(company=company, cause=cause, claimed=claimed, yclients=yclients)
        try:
            return attempt.run()
        finally:
            attempt.release()
