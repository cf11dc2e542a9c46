"""The page of a salon's billing for support staff: the link by which its owner pays, a discount.

Every request makes one call to YClients at most, and waits some seconds for it at most.
"""

from typing import Any

from django import forms
from django.contrib import messages as notices
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared.operations import OperableAdmin
from marketplace.admin.sessions import salon_name
from marketplace.models import Company
from marketplace.yclients.billing import BillingApi
from marketplace.yclients.call_errors import YClientsError

BILLING_PAGE = "marketplace_company_billing"
PATIENCE = 8.0  # seconds; a person waits


class DiscountForm(forms.Form):
    """A discount for the salon, in percent."""

    percent = forms.IntegerField(label=_("Discount, percent"), min_value=1, max_value=100)


class WithBilling(OperableAdmin):
    """Adds the page to the admin of salons; it needs the same permission as its operations."""

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.billing)
        return [path("<path:object_id>/billing/", page, name=BILLING_PAGE), *super().get_urls()]

    def billing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET shows the form, and with `link` the payment link; POST asks to confirm it, then does it."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        company = self.get_object(request, object_id)
        if company is None:
            raise Http404
        form = DiscountForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            if "confirmed" not in request.POST:
                return self._billing_page(request, company, form, confirm=True)
            self._give_discount(request, company, form.cleaned_data["percent"])
            return HttpResponseRedirect(reverse(f"admin:{BILLING_PAGE}", args=[company.pk]))
        url = self._payment_link(request, company) if "link" in request.GET else ""
        return self._billing_page(request, company, form, url=url)

    def _payment_link(self, request: HttpRequest, company: Company) -> str:
        try:
            with BillingApi(patience=PATIENCE) as yclients:
                return yclients.payment_link(company.salon_id)
        except YClientsError as error:
            text = gettext("YClients gave no link: %(cause)s") % {"cause": error}
            self.message_user(request, text, notices.ERROR)
            return ""

    def _give_discount(self, request: HttpRequest, company: Company, percent: int) -> None:
        try:
            with BillingApi(patience=PATIENCE) as yclients:
                yclients.add_discount([company.salon_id], percent=percent)
        except YClientsError as error:
            text = gettext("YClients did not take the discount: %(cause)s") % {"cause": error}
            self.message_user(request, text, notices.ERROR)
            return
        done = gettext("Discount of %(percent)d percent") % {"percent": percent}
        self.log_change(request, company, done)
        self.message_user(request, f"{done}: {salon_name(company)}", notices.SUCCESS)

    def _billing_page(
        self,
        request: HttpRequest,
        company: Company,
        form: DiscountForm,
        *,
        confirm: bool = False,
        url: str = "",
    ) -> HttpResponse:
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": gettext("Billing"),
            "opts": self.opts,
            "media": self.media,
            "name": salon_name(company),
            "form": form,
            "confirm": confirm,
            "url": url,
            "back": reverse("admin:marketplace_company_change", args=[company.pk]),
            "payments": f"{reverse('admin:marketplace_payment_changelist')}?company__id__exact={company.pk}",
        }
        return TemplateResponse(request, "support/billing.html", context)
