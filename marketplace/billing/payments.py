"""Payments that are to be notified to YClients: each once, whatever is asked for twice."""

import hashlib
import re
from datetime import datetime
from decimal import Decimal

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from config.shared import hints
from marketplace.models import Company, Payment
from marketplace.yclients.billing import PaymentDetails

log = structlog.get_logger("billing")

MOMENT = "%Y-%m-%d %H:%M:%S"
CURRENCY = re.compile(r"[A-Z]{3}")
LARGEST_SUM = Decimal(10) ** 9
State = Payment.State


class BadPayment(ValueError):
    """The payment makes no sense; the text says why, in English and as a msgid."""


class KeyTaken(Exception):
    """The idempotency key belongs to another payment."""


class NotRefundable(Exception):
    """YClients was not notified of the payment, or was told of its refund already."""


def request_payment(
    *, company: Company, details: PaymentDetails, by: str, idempotency_key: str = ""
) -> tuple[Payment, bool]:
    """Queue the notification of a payment; return its row, and whether it is a new one.

    Without a key the payment itself is the key: the same sum for the same period of the same salon is one
    payment. Raises BadPayment, and KeyTaken for the key of a different payment.
    """
    check(company, details)
    key = idempotency_key or _key_of(company, details)
    fields = {name: getattr(details, name) for name in PaymentDetails.__slots__}
    with transaction.atomic():
        row, is_new = Payment.objects.get_or_create(
            idempotency_key=key, defaults={"company": company, "created_by": by[:200], **fields}
        )
    if not is_new and (row.company_id != company.pk or details_of(row) != details):
        raise KeyTaken(f"payment {row.pk}")
    if is_new:
        log.info("payment queued", salon_id=company.salon_id, payment=row.pk, by=by)
        hints.wake_workers()
    return row, is_new


def request_refund(*, payment: Payment, by: str) -> None:
    """Queue the notification of a refund. Raises NotRefundable."""
    _requeue(payment, State.NOTIFIED, State.REFUND_DUE, refund_by=by[:200])
    log.info("refund queued", payment=payment.pk, by=by)


def request_retry(*, payment: Payment, by: str) -> None:
    """Try a refused notification again. Raises NotRefundable when it was not refused."""
    _requeue(payment, State.REFUSED, State.DUE)
    log.info("payment queued again", payment=payment.pk, by=by)


def details_of(row: Payment) -> PaymentDetails:
    """The payment as YClients is told of it."""
    return PaymentDetails(**{name: getattr(row, name) for name in PaymentDetails.__slots__})


def check(company: Company, details: PaymentDetails) -> None:
    """Raises BadPayment."""
    if company.status not in (Company.Status.ACTIVE, Company.Status.FROZEN):
        raise BadPayment(_("The salon is neither active nor frozen."))
    total = details.payment_sum
    if not total.is_finite() or not 0 <= total < LARGEST_SUM or total != total.quantize(Decimal("0.01")):
        raise BadPayment(_("The sum is not an amount of money."))
    if not CURRENCY.fullmatch(details.currency_iso):
        raise BadPayment(_("The currency is not three capital letters."))
    try:
        moments = [
            datetime.strptime(text, MOMENT)
            for text in (details.payment_date, details.period_from, details.period_to)
        ]
    except ValueError as error:
        raise BadPayment(_("A time is not written as YYYY-MM-DD HH:MM:SS.")) from error
    if moments[1] >= moments[2]:
        raise BadPayment(_("The period ends before it begins."))


def _requeue(payment: Payment, source: str, to: str, **changes: str) -> None:
    changed = Payment.objects.filter(pk=payment.pk, state=source).update(
        state=to, attempts=0, next_attempt_at=timezone.now(), last_error="", called_at=None, **changes
    )
    if not changed:
        raise NotRefundable(f"payment {payment.pk}")
    payment.refresh_from_db()
    hints.wake_workers()


def _key_of(company: Company, details: PaymentDetails) -> str:
    parts = (company.salon_id, details.payment_sum.quantize(Decimal("0.01")), details.currency_iso)
    named = "|".join(map(str, (*parts, details.period_from, details.period_to)))
    return hashlib.sha256(named.encode()).hexdigest()
