"""Payments for the application: lists them, notifies YClients of one or of its refund, links to pay."""

import json
import time
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from marketplace.billing import notifying, payments
from marketplace.models import Company, Payment
from marketplace.yclients.billing import BillingApi, PaymentDetails
from marketplace.yclients.call_errors import YClientsError

FAILED, UNFINISHED, REFUSED = 1, 3, 4
BY = "command"
WAIT, POLL = 15.0, 0.2  # seconds for a worker that has the payment already


class Command(BaseCommand):
    help = (
        "Lists payments, notifies YClients of a payment or a refund, makes a payment link. A payment is "
        "notified once, however often it is asked for. Ends with 0 when done, with 3 when a worker goes on "
        "with it, with 4 when YClients refused it, with 1 when nothing was begun."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="payments, the newest first")
        listing.add_argument("--salon", type=int, help="only this salon (its number in YClients)")
        listing.add_argument("--state", choices=Payment.State.values)
        listing.add_argument("--most", type=int, default=50)
        notify = actions.add_parser("notify", help="tell YClients that a salon has paid")
        notify.add_argument("salon", type=int)
        notify.add_argument("sum", help="such as 990 or 990.50")
        notify.add_argument("--currency", default="RUB")
        notify.add_argument("--date", required=True, help="'YYYY-MM-DD HH:MM:SS', as are the next two")
        notify.add_argument("--from", dest="period_from", required=True)
        notify.add_argument("--to", dest="period_to", required=True)
        notify.add_argument("--key", default="", help="idempotency key; without one the payment itself is it")
        refund = actions.add_parser("refund", help="tell YClients that a payment was given back")
        refund.add_argument("payment", type=int, help="our number, see list")
        retry = actions.add_parser("retry", help="try a refused payment again")
        retry.add_argument("payment", type=int)
        link = actions.add_parser("link", help="where the salon's owner pays")
        link.add_argument("salon", type=int)
        link.add_argument("--discount", type=int, default=0, choices=range(101), metavar="PERCENT")
        for action in (listing, notify, refund, retry, link):
            action.add_argument("--json", action="store_true", help="the same for programs")

    def handle(self, *_args: Any, **options: Any) -> None:
        self.as_json: bool = options["json"]
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        rows = Payment.objects.select_related("company").defer("company__api_key", "company__webhook_secret")
        if options["salon"]:
            rows = rows.filter(company__salon_id=options["salon"])
        if options["state"]:
            rows = rows.filter(state=options["state"])
        found = [_described(row) for row in rows[: options["most"]]]
        if self.as_json:
            self.stdout.write(json.dumps(found, indent=2))
            return
        for each in found:
            self._write(each)

    def _notify(self, options: dict[str, Any]) -> None:
        try:
            details = PaymentDetails(
                Decimal(options["sum"]),
                options["currency"],
                options["date"],
                options["period_from"],
                options["period_to"],
            )
            row, is_new = payments.request_payment(
                company=_company(options["salon"]), details=details, by=BY, idempotency_key=options["key"]
            )
        except InvalidOperation as error:
            raise CommandError("The sum is not an amount of money.", returncode=FAILED) from error
        except payments.BadPayment as error:
            raise CommandError(str(error), returncode=FAILED) from error
        except payments.KeyTaken as error:
            raise CommandError("The key belongs to another payment.", returncode=FAILED) from error
        if not is_new and not self.as_json:
            self.stdout.write("This payment is known already.")
        self._finish(row, done=Payment.State.NOTIFIED)

    def _refund(self, options: dict[str, Any]) -> None:
        row = _payment(options["payment"])
        if row.state not in (Payment.State.REFUND_DUE, Payment.State.REFUNDING, Payment.State.REFUNDED):
            try:
                payments.request_refund(payment=row, by=BY)
            except payments.NotRefundable as error:
                raise CommandError(
                    f"YClients was not notified of payment {row.pk}.", returncode=FAILED
                ) from error
        self._finish(row, done=Payment.State.REFUNDED)

    def _retry(self, options: dict[str, Any]) -> None:
        row = _payment(options["payment"])
        try:
            payments.request_retry(payment=row, by=BY)
        except payments.NotRefundable as error:
            raise CommandError(f"Payment {row.pk} was not refused.", returncode=FAILED) from error
        self._finish(row, done=Payment.State.NOTIFIED)

    def _link(self, options: dict[str, Any]) -> None:
        company = _company(options["salon"])
        try:
            with BillingApi() as yclients:
                url = yclients.payment_link(company.salon_id, discount=options["discount"])
        except YClientsError as error:
            raise CommandError(f"YClients gave no link: {error}", returncode=FAILED) from error
        self.stdout.write(json.dumps({"salon": company.salon_id, "url": url}) if self.as_json else url)

    def _finish(self, row: Payment, *, done: str) -> None:
        """Try the call now, and say how it went; what is not finished a worker goes on with."""
        notifying.work(row.pk, early=True)
        ends = time.monotonic() + WAIT
        row.refresh_from_db()
        while row.claimed_until and row.claimed_until > timezone.now() and time.monotonic() < ends:
            time.sleep(POLL)
            row.refresh_from_db()
        if self.as_json:
            self.stdout.write(json.dumps(_described(row)))
        else:
            self._write(_described(row))
        if row.state in Payment.OPEN:
            raise CommandError("Not finished yet; a worker goes on with it.", returncode=UNFINISHED)
        # A payment that was given back has been notified.
        if row.state not in (done, Payment.State.REFUNDED):
            raise CommandError(f"YClients refused: {row.last_error}", returncode=REFUSED)

    def _write(self, each: dict[str, Any]) -> None:
        error = f", {each['error']}" if each["error"] else ""
        self.stdout.write(
            f"#{each['payment']} salon {each['salon']}: {each['sum']} {each['currency']} for "
            f"{each['period_from']} to {each['period_to']}: {each['state']}"
            f"{' as ' + str(each['yclients_id']) if each['yclients_id'] else ''}{error}"
        )


def _company(salon_id: int) -> Company:
    company = Company.objects.filter(salon_id=salon_id).first()
    if company is None:
        raise CommandError(f"Salon {salon_id} never came to us.", returncode=FAILED)
    return company


def _payment(number: int) -> Payment:
    row = Payment.objects.select_related("company").filter(pk=number).first()
    if row is None:
        raise CommandError(f"There is no payment {number}.", returncode=FAILED)
    return row


def _described(row: Payment) -> dict[str, Any]:
    return {
        "payment": row.pk,
        "salon": row.company.salon_id,
        "sum": str(row.payment_sum),
        "currency": row.currency_iso,
        "date": row.payment_date,
        "period_from": row.period_from,
        "period_to": row.period_to,
        "state": row.state,
        "yclients_id": row.yclients_id,
        "error": row.last_error,
    }
