"""Payments for support staff: what YClients was told of each, a new one, its refund, another try.

What support staff confirm changes rows; a worker then makes the calls. Tariffs and payment links are read
from YClients when their page is opened, within a few seconds.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.operations import OperableAdmin, Operation, Refused
from config.shared.support import Text
from marketplace.admin.sessions import COMPANY_SECRETS, salon_name
from marketplace.admin.waiting import WaitingFilter
from marketplace.billing import payments
from marketplace.models import Company, Payment
from marketplace.yclients.billing import BillingApi, PaymentDetails
from marketplace.yclients.call_errors import YClientsError

PAYMENT_TONES = {
    "due": "busy", "calling": "busy", "notified": "good", "refused": "bad",
    "refund_due": "busy", "refunding": "busy", "refunded": "off",
}  # fmt: skip
PATIENCE = 8.0  # seconds; a person waits
State = Payment.State


def _refund(row: Payment, cause: str) -> None:
    try:
        payments.request_refund(payment=row, by=cause)
    except payments.NotRefundable as error:
        raise Refused(
            gettext("YClients was not notified of this payment, or its refund has begun.")
        ) from error


def _retry(row: Payment, cause: str) -> None:
    try:
        payments.request_retry(payment=row, by=cause)
    except payments.NotRefundable as error:
        raise Refused(str(_why_not_retry(row))) from error


def _why_not_refund(row: Payment) -> Text:
    if row.state == State.NOTIFIED:
        return ""
    return _("YClients was not notified of this payment, or its refund has begun.")


def _why_not_retry(row: Payment) -> Text:
    return "" if row.state == State.REFUSED else _("YClients has not refused it.")


REFUND = Operation(
    name="refund",
    label=_("Notify of the refund"),
    consequence=_(
        "A worker tells YClients within seconds that the money was given back. The salon loses the period "
        "that it had paid for. No money is moved by this."
    ),
    perform=_refund,
    refusal=_why_not_refund,
    destructive=True,
)
RETRY = Operation(
    name="retry",
    label=_("Notify again"),
    consequence=_("A worker tells YClients of the payment within seconds; it is told once."),
    perform=_retry,
    refusal=_why_not_retry,
)


class PaymentForm(forms.Form):
    """A payment as the invoice has it."""

    salon = forms.IntegerField(label=_("Salon's number in YClients"), min_value=1)
    payment_sum = forms.DecimalField(label=_("Sum"), min_value=0, max_digits=12, decimal_places=2)
    currency_iso = forms.CharField(label=_("Currency"), initial="RUB", min_length=3, max_length=3)
    payment_date = forms.CharField(
        label=_("Paid at"), max_length=19, help_text=_("such as 2025-07-13 12:00:00, as are the next two")
    )
    period_from = forms.CharField(label=_("Period from"), max_length=19)
    period_to = forms.CharField(label=_("Period until"), max_length=19)
    key = forms.CharField(
        label=_("Invoice number"),
        required=False,
        max_length=64,
        help_text=_("the same one is never told twice; without one the salon, the sum and the period are it"),
    )

    def clean_salon(self) -> Company:
        company = Company.objects.defer(*COMPANY_SECRETS).filter(salon_id=self.cleaned_data["salon"]).first()
        if company is None:
            raise ValidationError(gettext("There is no such salon here."))
        return company

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                payments.check(cleaned["salon"], self.details())
            except payments.BadPayment as error:
                raise ValidationError(gettext(str(error))) from error
        return cleaned

    def details(self) -> PaymentDetails:
        return PaymentDetails(**{name: self.cleaned_data[name] for name in PaymentDetails.__slots__})


@admin.register(Payment)
class PaymentAdmin(OperableAdmin):
    """Payments made past YClients."""

    hidden = tuple(f"company__{name}" for name in COMPANY_SECRETS)
    operations = (REFUND, RETRY)
    list_display = ("salon_link", "total", "period", "state_word", "number", "made", "error")
    list_filter = (
        ("state", support.titled(_("State"))),
        ("created_at", support.titled(_("Time"), admin.DateFieldListFilter)),
        WaitingFilter,
    )
    list_select_related = ("company",)
    search_fields = ("=company__salon_id", "company__title", "=yclients_id", "=idempotency_key")
    fieldsets = [
        (None, {"fields": ["salon_link", "total", "paid", "period", "key", "state_word", "number"]}),
        (_("Attempts"), {"fields": ["tries", "next_attempt", "error"]}),
        (_("History"), {"fields": ["made", "by", "notified", "refund_asked_by", "refunded"]}),
    ]

    state_word = support.state_column("state", _("state"), PAYMENT_TONES)
    number = support.plain_column("yclients_id", _("number in YClients"))
    paid = support.plain_column("payment_date", _("paid at"))
    key = support.plain_column("idempotency_key", _("invoice number or key"))
    tries = support.plain_column("attempts", _("attempts"))
    error = support.plain_column("last_error", _("last error"))
    by = support.plain_column("created_by", _("asked for by"))
    refund_asked_by = support.plain_column("refund_by", _("refund asked for by"))
    next_attempt = support.moment_column("next_attempt_at", _("next attempt"))
    made = support.moment_column("created_at", _("time"))
    notified = support.moment_column("notified_at", _("notified"))
    refunded = support.moment_column("refunded_at", _("refunded"))

    @admin.display(description=_("salon"), ordering="company__title")
    def salon_link(self, row: Payment) -> str:
        return support.link(row.company, salon_name(row.company))

    @admin.display(description=_("sum"), ordering="payment_sum")
    def total(self, row: Payment) -> str:
        return f"{row.payment_sum} {row.currency_iso}"

    @admin.display(description=_("period"), ordering="period_to")
    def period(self, row: Payment) -> str:
        return f"{row.period_from} – {row.period_to}"

    def describe(self, row: Payment) -> str:
        return f"{salon_name(row.company)}: {row}"

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.tariffs)
        return [path("tariffs/", page, name="marketplace_payment_tariffs"), *super().get_urls()]

    def tariffs(self, request: HttpRequest) -> HttpResponse:
        """What the application costs, as YClients says at this moment."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        found, failure = [], ""
        try:
            with BillingApi(patience=PATIENCE) as yclients:
                found = yclients.tariffs()
        except YClientsError as error:
            failure = gettext("YClients does not say: %(cause)s") % {"cause": error}
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Tariffs"),
            "opts": self.opts,
            "media": self.media,
            "tariffs": found,
            "error": failure,
            "back": reverse("admin:marketplace_payment_changelist"),
        }
        return TemplateResponse(request, "support/tariffs.html", context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_operate_permission(request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """GET shows the form; its POST asks for a confirmation; the confirmed POST queues the payment."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = PaymentForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return self._page(request, form, confirm=False)
        if "confirmed" not in request.POST:
            return self._page(request, form, confirm=True)
        return self._request(request, form)

    def _request(self, request: HttpRequest, form: PaymentForm) -> HttpResponse:
        try:
            row, is_new = payments.request_payment(
                company=form.cleaned_data["salon"],
                details=form.details(),
                by=f"support: {request.user.get_username()}",
                idempotency_key=form.cleaned_data["key"],
            )
        except payments.KeyTaken:
            form.add_error("key", gettext("This number belongs to another payment."))
            return self._page(request, form, confirm=False)
        if is_new:
            self.log_addition(request, row, gettext("Payment to be notified"))
            self.message_user(request, gettext("A worker tells YClients of the payment within seconds."))
        else:
            self.message_user(request, gettext("This payment is known already; nothing was done."))
        return HttpResponseRedirect(reverse("admin:marketplace_payment_change", args=[row.pk]))

    def _page(self, request: HttpRequest, form: PaymentForm, *, confirm: bool) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("A payment that was made past YClients"),
            "opts": self.opts,
            "media": self.media,
            "form": form,
            "confirm": confirm,
            "salon": salon_name(form.cleaned_data["salon"]) if confirm else "",
            "back": reverse("admin:marketplace_payment_changelist"),
        }
        return TemplateResponse(request, "support/payment.html", context)
