"""What we ask of YClients about money (YCLIENTS API reference, section Marketplace), and its answers."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from django.conf import settings

from marketplace.yclients.api import YClients, installed_url, json_of, line_of, object_of, refuse_failure
from marketplace.yclients.call_errors import Kind, YClientsError


@dataclass(frozen=True, slots=True)
class PaymentDetails:
    """A payment as YClients is told of it; times are `YYYY-MM-DD HH:MM:SS`, without a zone."""

    payment_sum: Decimal
    currency_iso: str
    payment_date: str
    period_from: str
    period_to: str


@dataclass(frozen=True, slots=True)
class ListedPayment:
    """A payment in YClients' list of those of one salon."""

    id: int
    details: PaymentDetails
    is_refunded: bool


class BillingApi(YClients):
    """`YClients` with the calls about money. No call that changes something is repeated here when it may have
    had its effect: such an error has `outcome_unknown`."""

    def notify_payment(self, salon_id: int, details: PaymentDetails) -> int:
        """Tell YClients of a payment; return its number there. Twice told is two payments. Raises
        YClientsError."""
        body = {
            **_named(salon_id),
            "payment_sum": float(details.payment_sum),
            "currency_iso": details.currency_iso,
            "payment_date": details.payment_date,
            "period_from": details.period_from,
            "period_to": details.period_to,
        }
        answer = self._http.call("payment", "POST", _url("partner/payment"), body=body)
        number = _number(object_of(answer).get("id"))
        if not number:
            raise YClientsError(
                Kind.MALFORMED, "YClients named no payment", status=answer.status, outcome_unknown=True
            )
        return number

    def notify_refund(self, payment_id: int) -> None:
        """Tell YClients that the payment was given back. Raises YClientsError."""
        url = _url(f"partner/payment/refund/{payment_id}")
        refuse_failure(self._http.call("refund", "POST", url, body={}))

    def payments(self, salon_id: int) -> list[ListedPayment]:
        """Return the salon's payments as YClients lists them. Raises YClientsError."""
        rows = object_of(self._http.call("install_status", "GET", installed_url(salon_id))).get("payments")
        if not isinstance(rows, list):
            raise YClientsError(Kind.MALFORMED, "YClients listed no payments", status=200)
        return [listed for row in rows if isinstance(row, dict) and (listed := listed_payment(row))]

    def tariffs(self) -> list[dict[str, Any]]:
        """Return the application's tariffs: `id`, `title`, `options`. Raises YClientsError."""
        url = _url(f"application/{quote(str(settings.YCLIENTS_APPLICATION_ID))}/tariffs")
        answer = self._http.call("tariffs", "GET", url)
        said = json_of(answer)
        rows = said.get("data") if isinstance(said, dict) else said
        if not isinstance(rows, list):
            raise YClientsError(Kind.MALFORMED, "YClients listed no tariffs", status=answer.status)
        return [row for row in rows if isinstance(row, dict)]

    def add_discount(self, salon_ids: list[int], *, percent: float) -> None:
        """Give these salons a discount; to say it again changes nothing. Raises YClientsError."""
        body = {
            "salon_ids": salon_ids,
            "application_id": settings.YCLIENTS_APPLICATION_ID,
            "discount": percent,
        }
        url = _url("application/add_discount")
        refuse_failure(self._http.call("discount", "POST", url, body=body, repeatable=True))

    def set_short_names(self, salon_id: int, names: list[str]) -> None:
        """Name the senders that the salon may choose from; said again changes nothing. Raises
        YClientsError."""
        body = {**_named(salon_id), "short_names": names}
        url = _url("partner/short_names")
        refuse_failure(self._http.call("short_names", "POST", url, body=body, repeatable=True))


def listed_payment(row: dict[str, Any]) -> ListedPayment | None:
    """Read one row of the list; None for one that has no number or no sum."""
    number = _number(row.get("id"))
    try:
        total = Decimal(str(row.get("payment_sum"))).quantize(Decimal("0.01"))
    except InvalidOperation:
        return None
    if not number:
        return None
    details = PaymentDetails(
        total,
        line_of(row.get("currency_iso")),
        *(_moment(row.get(name)) for name in ("payment_date", "period_from", "period_to")),
    )
    return ListedPayment(number, details, bool(row.get("is_refunded")))


def _moment(value: Any) -> str:
    """`2025-07-13T12:00:00+03:00` and `2025-07-13 12:00:00` are the same moment in YClients' own words."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d).*$", r"\1 \2", line_of(value))


def _number(value: Any) -> int:
    text = str(value)
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
    return number if 0 < number < 2**63 else 0


def _named(salon_id: int) -> dict[str, Any]:
    return {"salon_id": salon_id, "application_id": settings.YCLIENTS_APPLICATION_ID}


def _url(path: str) -> str:
    return f"{settings.YCLIENTS_MARKETPLACE_URL}/{path}"
