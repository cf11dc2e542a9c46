"""Forwarding for support staff: where what clients write goes, how it does, a new secret.

A secret is shown once, on the page that answers its making.
"""

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.operations import OperableAdmin
from marketplace.admin.opt_outs import SalonForm
from marketplace.admin.sessions import COMPANY_SECRETS, salon_name
from marketplace.admin.waiting import WaitingFilter
from marketplace.inbound import forwarding_changes
from marketplace.inbound.forwarding_post import new_secret
from marketplace.models.forwarding import ForwardedMessage, Forwarding, ForwardingChange
from marketplace.yclients import safe_http


class AddressForm(forms.ModelForm):  # type: ignore[type-arg]
    """The address, which must be one that we may post to."""

    url = forms.CharField(label=_("Address"), widget=forms.TextInput(attrs={"class": "vURLField"}))

    class Meta:
        model = Forwarding
        fields = ("url", "enabled", "sends_statuses", "sends_session_changes")
        labels = {"enabled": _("Switched on")}

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].strip()
        try:
            safe_http.check_public(url)
        except safe_http.AddressRefused as error:
            raise ValidationError(gettext("The address must be a plain https address.")) from error
        return url


class NewForwardingForm(AddressForm, SalonForm):
    """The salon with its address."""

    def clean_salon(self) -> Any:
        company = super().clean_salon()
        if Forwarding.objects.filter(company=company).exists():
            raise ValidationError(gettext("This salon has a forwarding already."))
        return company


@admin.register(Forwarding)
class ForwardingAdmin(OperableAdmin):
    """Addresses of salons; the form of a row changes the address or switches it off."""

    hidden = ("secret", *(f"company__{name}" for name in COMPANY_SECRETS))
    list_display = ("salon_link", "state_word", "host", "delivered", "error")
    list_filter = (WaitingFilter,)
    list_select_related = ("company",)
    search_fields = ("=company__salon_id", "company__title")
    fieldsets = [
        (None, {"fields": ["salon_link", "state_word", "url", "enabled"]}),
        (_("Delivery"), {"fields": ["waiting", "delivered", "failures_in_a_row", "paused", "error"]}),
    ]

    failures_in_a_row = support.plain_column("failures", _("failures in a row"))
    delivered = support.moment_column("delivered_at", _("last delivered"))
    paused = support.moment_column("paused_until", _("left alone until"))
    error = support.plain_column("last_error", _("last error"))

    @admin.display(description=_("salon"), ordering="company__title")
    def salon_link(self, row: Forwarding) -> str:
        return support.link(row.company, salon_name(row.company))

    @admin.display(description=_("state"))
    def state_word(self, row: Forwarding) -> str:
        if not row.enabled:
            return support.state(_("off"), "off")
        resting = row.paused_until is not None and row.paused_until > timezone.now()
        return support.state(_("not answering"), "bad") if resting else support.state(_("on"), "good")

    @admin.display(description=_("host"))
    def host(self, row: Forwarding) -> str:
        return urlsplit(row.url).hostname or support.NOTHING

    @admin.display(description=_("messages"))
    def waiting(self, row: Forwarding) -> str:
        return support.joined([
            support.list_link(ForwardedMessage, word, forwarding__id__exact=row.pk, state__exact=state)
            for state, word in ForwardedMessage.State.choices
        ])  # fmt: skip

    def describe(self, row: Forwarding) -> str:
        return salon_name(row.company)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_operate_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_operate_permission(request)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return [(None, {"fields": ["salon", "url", "enabled"]})]
        fieldsets = super().get_fieldsets(request, obj)
        if self.has_operate_permission(request):
            return fieldsets
        return [
            (title, {"fields": ["host" if name == "url" else name for name in options["fields"]]})
            for title, options in fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        editable = {"salon", "url", "enabled"} if self.has_operate_permission(request) else set()
        return [name for name in fields if name not in editable]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(
            request, obj, change, **{**kwargs, "form": AddressForm if obj else NewForwardingForm}
        )

    def save_model(self, request: HttpRequest, obj: Forwarding, form: Any, change: bool) -> None:
        url, enabled = obj.url, obj.enabled
        if not change:
            # Without an address until the change below is in force.
            obj.company, obj.secret = form.cleaned_data["salon"], new_secret()
            obj.url, obj.enabled = "", False
            obj.save()
        by = f"support: {request.user.get_username()}"
        made = forwarding_changes.request_change(row=obj, url=url, enabled=enabled, by=by)
        form.address_change = made
        if made is not None and made.state == ForwardingChange.State.WAITING:
            text = gettext("The new address waits until another member of staff approves it.")
            self.message_user(request, text, messages.WARNING)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Put both hosts into the history; the rest of an address may hold a token."""
        made: ForwardingChange | None = getattr(form, "address_change", None)
        if made is None:
            return super().construct_change_message(request, form, formsets, add)
        hosts = {"before": made.host_before or support.NOTHING, "after": made.host_after}
        return f"{gettext('Address: %(before)s > %(after)s') % hosts} ({made.get_state_display()})"

    def response_add(
        self, request: HttpRequest, obj: Forwarding, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._show_secret(request, obj, obj.secret)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.make_secret)
        own = path("<int:pk>/new-secret/", view, name="marketplace_forwarding_secret")
        return [own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = {"subtitle": salon_name(row.company) if row else None, **(extra_context or {})}
        response = super().change_view(request, object_id, form_url, context)
        if isinstance(response, TemplateResponse) and self.has_operate_permission(request):
            url = reverse("admin:marketplace_forwarding_secret", args=[object_id])
            button = {"url": url, "operation": {"label": _("New secret"), "destructive": True}}
            shown = response.context_data or {}
            shown["operation_buttons"] = [*shown.get("operation_buttons", []), button]
        return response

    def make_secret(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET asks for the confirmation and changes nothing; POST makes the secret and shows it."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = self.get_object(request, str(pk))
        if row is None:
            raise Http404
        if request.method != "POST":
            return self._show_secret(request, row, "")
        by = f"support: {request.user.get_username()}"
        secret = forwarding_changes.renew_secret(forwarding=row, by=by)
        self.log_change(request, row, gettext("New secret"))
        return self._show_secret(request, row, secret)

    def _show_secret(self, request: HttpRequest, row: Forwarding, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("New secret"),
            "opts": self.opts,
            "media": self.media,
            "name": salon_name(row.company),
            "secret": secret,
            "address": reverse("admin:marketplace_forwarding_secret", args=[row.pk]),
            "back": reverse("admin:marketplace_forwarding_change", args=[row.pk]),
        }
        return TemplateResponse(request, "support/secret.html", context)
