"""The calls that notify YClients of payments and refunds. The row is the queue.

YClients knows no idempotency: a payment that is told twice is two payments. So the row says `calling`, and
which payments YClients had listed, before the call is made. Whoever finds such a row, after a lost answer or
a crash, asks YClients for its list (the installation's `payments`) before anything is repeated: a payment
with the same words that was not listed before and belongs to no other row of ours is this one.
"""

from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from config.shared.queue import ClaimLost, Queue
from marketplace.billing.payments import details_of
from marketplace.models import CompanyCheck, MarketplaceEvent, Payment
from marketplace.yclients.billing import BillingApi, ListedPayment
from marketplace.yclients.call_errors import YClientsError

log = structlog.get_logger("billing")

# YClients' list may be older than a call that was made a moment ago.
SETTLED_AFTER = timedelta(seconds=30)
State = Payment.State
QUEUE = Queue(
    name="payments",
    model=Payment,
    claimed_until="claimed_until",
    lease=timedelta(minutes=2),  # longer than the three calls of one try with their waiting
    where=Q(state__in=Payment.OPEN),
    first=2.0,
)


def work(payment_id: int, *, early: bool = False) -> None:
    """Notify YClients of one payment or refund that is due; what goes wrong is in the row.

    With `early` at once, whether it is due or not. Never call it within a transaction.
    """
    row = QUEUE.claim(payment_id, early=early)
    if row is None:
        return
    try:
        with BillingApi() as yclients:
            if row.state in (State.DUE, State.CALLING):
                _notify(row, yclients)
            else:
                _refund(row, yclients)
    except YClientsError as error:
        if error.permanent and row.state == State.DUE:
            _refuse(row, error, state=State.REFUSED)
            return
        QUEUE.retry(row, error=str(error), retry_after=error.retry_after)
        log.warning("payment postponed", payment=row.pk, state=row.state, cause=str(error))


def _notify(row: Payment, yclients: BillingApi) -> None:
    listed = yclients.payments(row.company.salon_id)
    if row.state == State.CALLING:
        if found := _find(row, listed):
            _record_notified(row, found.id, known_by="list of payments")
            return
        settled_at = (row.called_at or timezone.now()) + SETTLED_AFTER
        if timezone.now() < settled_at:
            QUEUE.finish(row, next_attempt_at=settled_at)
            return
    _begin(row, State.CALLING, known_before=[payment.id for payment in listed])
    try:
        number = yclients.notify_payment(row.company.salon_id, details_of(row))
    except YClientsError as error:
        if error.permanent:
            _refuse(row, error, state=State.REFUSED)
            return
        if not error.outcome_unknown:
            _begin(row, State.DUE)
        raise
    _record_notified(row, number, known_by="answer")


def _find(row: Payment, listed: list[ListedPayment]) -> ListedPayment | None:
    """The payment in YClients' list that our earlier call has made; None when it made none."""
    taken = set(Payment.objects.exclude(pk=row.pk).values_list("yclients_id", flat=True))
    new = [payment for payment in listed if payment.id not in taken and payment.id not in row.known_before]
    same = [payment for payment in new if payment.details == details_of(row)]
    return min(same, key=lambda payment: payment.id, default=None)


def _refund(row: Payment, yclients: BillingApi) -> None:
    if row.state == State.REFUNDING and _is_refunded(row, yclients):
        _record_refunded(row)
        return
    _begin(row, State.REFUNDING)
    try:
        yclients.notify_refund(row.yclients_id or 0)
    except YClientsError as error:
        if not error.permanent:
            raise
        # A no may be the answer to a refund that was told before, when that answer was lost.
        if not _is_refunded(row, yclients):
            _refuse(row, error, state=State.NOTIFIED)
            return
    _record_refunded(row)


def _is_refunded(row: Payment, yclients: BillingApi) -> bool:
    listed = yclients.payments(row.company.salon_id)
    return any(payment.is_refunded for payment in listed if payment.id == row.yclients_id)


def _begin(row: Payment, state: str, **changes: Any) -> None:
    """Commit what is done next, before it is done. Raises ClaimLost."""
    if not QUEUE.held(row).update(state=state, called_at=timezone.now(), **changes):
        raise ClaimLost(f"payment {row.pk}")
    row.state = state


def _record_notified(row: Payment, number: int, *, known_by: str) -> None:
    now = timezone.now()
    with transaction.atomic():
        QUEUE.finish(row, state=State.NOTIFIED, yclients_id=number, notified_at=now, next_attempt_at=None)
        row.company.note(
            MarketplaceEvent.Type.PAYMENT_NOTIFIED, by=row.created_by, known_by=known_by, **_said(row, number)
        )
        # A payment wakes a frozen salon there; let it be seen here soon.
        CompanyCheck.objects.filter(company=row.company).update(next_at=now)
    log.info("payment notified", salon_id=row.company.salon_id, payment=row.pk, known_by=known_by)


def _record_refunded(row: Payment) -> None:
    with transaction.atomic():
        QUEUE.finish(row, state=State.REFUNDED, refunded_at=timezone.now(), next_attempt_at=None)
        row.company.note(
            MarketplaceEvent.Type.REFUND_NOTIFIED, by=row.refund_by, **_said(row, row.yclients_id)
        )
    log.info("refund notified", salon_id=row.company.salon_id, payment=row.pk)


def _refuse(row: Payment, error: YClientsError, *, state: str) -> None:
    with transaction.atomic():
        QUEUE.finish(row, state=state, next_attempt_at=None)
        Payment.objects.filter(pk=row.pk).update(last_error=str(error)[:500])
        row.company.note(
            MarketplaceEvent.Type.PAYMENT_REFUSED,
            by=row.refund_by or row.created_by,
            http_status=error.status,
            yclients_message=error.message,
            **_said(row, row.yclients_id),
        )
    log.warning("payment refused", salon_id=row.company.salon_id, payment=row.pk, cause=str(error))


def _said(row: Payment, number: int | None) -> dict[str, Any]:
    return {"payment": row.pk, "yclients_id": number, "sum": f"{row.payment_sum} {row.currency_iso}"}
