"""Salons, their events and webhooks, for support staff; and the salons beside their WhatsApp sessions.

API keys and webhook secrets are never read here.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config import support
from config.logs import mask_phone, mask_text
from config.operations import OperableAdmin
from config.support import ReadMostlyAdmin
from marketplace.models import Company, InboundWebhook, MarketplaceEvent
from marketplace.operations import REPLAY_WEBHOOK, RETRY_ACTIVATION
from whatsapp.admin import STATUS_TONES, SessionAdmin
from whatsapp.models import Session

COMPANY_TONES = {
    "pending_whatsapp": "waiting", "activating": "busy", "active": "good", "activation_failed": "bad",
    "frozen": "waiting", "uninstalled": "off",
}  # fmt: skip
WEBHOOK_TONES = {
    "received": "busy", "applied": "good", "ignored": "off", "failed": "bad", "dead": "bad",
}  # fmt: skip
EVENT_TONES = {
    "integration_activated": "good", "whatsapp_connected": "good", "unfrozen": "good",
    "registration_started": "busy", "frozen": "waiting", "activation_failed": "bad",
    "whatsapp_logged_out": "bad", "uninstalled": "bad",
}  # fmt: skip
SESSION_SECRETS = ("session__qr", "session__pairing_code")
COMPANY_SECRETS = ("api_key", "webhook_secret")


def _said(text: str) -> str:
    """Errors are kept as English msgids."""
    return gettext(text) if text else ""


def _salon(company: Company) -> str:
    return f"{company.title} ({company.salon_id})" if company.title else str(company.salon_id)


@admin.register(Company)
class CompanyAdmin(OperableAdmin):
    """Salons and how far their integration has come."""

    hidden = (*COMPANY_SECRETS, *SESSION_SECRETS)
    operations = (RETRY_ACTIVATION,)
    list_display = ("salon", "status_word", "whatsapp", "phone_masked", "error", "registered", "activated")
    list_filter = (
        "status",
        ("session__status", admin.ChoicesFieldListFilter),
        ("registered_at", admin.DateFieldListFilter),
    )
    list_select_related = ("session",)
    search_fields = (
        "=salon_id",
        "title",
        "phone",
        "email",
        "marketplace_user_name",
        "marketplace_user_phone",
    )
    digits_search = ("phone", "session__phone", "marketplace_user_phone")
    ordering = ("-updated_at",)
    private = {"phone": "phone_masked", "marketplace_user_phone": "user_phone_masked"}
    fieldsets = [
        (None, {"fields": ["salon_id", "title", "status_word", "whatsapp", "related", "error_block"]}),
        (_("Salon"), {"fields": ["phone", "email", "address", "timezone_name"]}),
        (_("Who connected it"), {"fields": [
            "marketplace_user_id", "marketplace_user_name", "marketplace_user_phone",
            "marketplace_user_email"]}),
        (_("Activation"), {"fields": [
            "has_api_key", "activation_attempts", "activation_next", "activation_claimed", "redirect"]}),
        (_("Times"), {"fields": [
            "registered", "activated", "frozen", "uninstalled", "created", "updated"]}),
    ]  # fmt: skip

    status_word = support.state_column("status", _("status"), COMPANY_TONES)
    phone_masked = support.masked_phone_column("phone", _("phone"))
    user_phone_masked = support.masked_phone_column("marketplace_user_phone", _("phone"))
    activation_next = support.moment_column("activation_next_at", _("next attempt"))
    activation_claimed = support.moment_column("activation_claimed_until", _("claimed until"))
    registered = support.moment_column("registered_at", _("registered"))
    activated = support.moment_column("activated_at", _("activated"))
    frozen = support.moment_column("frozen_at", _("frozen"))
    uninstalled = support.moment_column("uninstalled_at", _("uninstalled"))
    created = support.moment_column("created_at", _("created"))
    updated = support.moment_column("updated_at", _("changed"))

    @admin.display(description=_("salon"), ordering="title")
    def salon(self, company: Company) -> str:
        return _salon(company)

    @admin.display(description=_("WhatsApp"), ordering="session__status")
    def whatsapp(self, company: Company) -> str:
        session = company.session
        if session is None:
            return support.NOTHING
        word = support.state(session.get_status_display(), STATUS_TONES.get(session.status, "off"))
        return support.link(session, word)

    @admin.display(description=_("more"))
    def related(self, company: Company) -> str:
        return support.joined([
            support.list_link(MarketplaceEvent, _("events"), salon_id__exact=company.salon_id),
            support.list_link(InboundWebhook, _("webhooks"), salon_id__exact=company.salon_id),
        ])  # fmt: skip

    @admin.display(description=_("error"))
    def error(self, company: Company) -> str:
        return mask_text(_said(company.activation_error))[:80] or support.NOTHING

    @admin.display(description=_("error"))
    def error_block(self, company: Company) -> str:
        return support.block(_said(company.activation_error))

    @admin.display(description=_("API key"), boolean=True)
    def has_api_key(self, company: Company) -> bool:
        return company.api_key_digest is not None

    @admin.display(description=_("where the owner was sent"))
    def redirect(self, company: Company) -> str:
        return company.redirect_url.partition("?")[0] or support.NOTHING

    def describe(self, row: Company) -> str:
        return _salon(row)


@admin.register(MarketplaceEvent)
class MarketplaceEventAdmin(ReadMostlyAdmin):
    """What happened to integrations; append-only."""

    hidden = tuple(f"company__{name}" for name in COMPANY_SECRETS)
    list_display = ("type_word", "salon", "data_line", "created")
    list_filter = (
        ("event_type", admin.AllValuesFieldListFilter),
        ("created_at", admin.DateFieldListFilter),
    )
    list_select_related = ("company",)
    search_fields = ("=salon_id", "company__title", "event_type")
    date_hierarchy = "created_at"
    fieldsets = [(None, {"fields": ["type_word", "salon", "created", "data"]})]

    created = support.moment_column("created_at", _("time"))

    @admin.display(description=_("event"), ordering="event_type")
    def type_word(self, event: MarketplaceEvent) -> str:
        word = dict(MarketplaceEvent.Type.choices).get(event.event_type, event.event_type)
        return support.state(word, EVENT_TONES.get(event.event_type, "off"))

    @admin.display(description=_("salon"), ordering="salon_id")
    def salon(self, event: MarketplaceEvent) -> str:
        return support.link(event.company, _salon(event.company)) if event.company else str(event.salon_id)

    @admin.display(description=_("data"))
    def data_line(self, event: MarketplaceEvent) -> str:
        shown = (f"{key}: {value}" for key, value in support.without_secrets(event.event_data).items())
        return ", ".join(shown)[:120]

    @admin.display(description=_("data"))
    def data(self, event: MarketplaceEvent) -> str:
        return support.json_block(event.event_data, phones=False)


@admin.register(InboundWebhook)
class InboundWebhookAdmin(OperableAdmin):
    """Webhooks as they arrived, and what became of them."""

    hidden = tuple(f"company__{name}" for name in COMPANY_SECRETS)
    operations = (REPLAY_WEBHOOK,)
    list_display = ("name", "state_word", "kind", "salon", "attempts", "repeats", "received", "applied")
    list_filter = ("state", "kind", ("received_at", admin.DateFieldListFilter))
    list_select_related = ("company",)
    search_fields = ("=salon_id", "company__title", "name")
    private = {"body_full": "body_masked"}
    fieldsets = [
        (None, {"fields": ["name", "kind", "state_word", "salon", "received", "applied"]}),
        (_("Attempts"), {"fields": ["attempts", "repeats", "next_attempt", "last_error_block"]}),
        (_("Body"), {"fields": ["body_full"]}),
    ]

    state_word = support.state_column("state", _("state"), WEBHOOK_TONES)
    received = support.moment_column("received_at", _("received"))
    applied = support.moment_column("applied_at", _("applied"))
    next_attempt = support.moment_column("next_attempt_at", _("next attempt"))
    last_error_block = support.block_field("last_error", _("last error"))

    @admin.display(description=_("salon"), ordering="salon_id")
    def salon(self, webhook: InboundWebhook) -> str:
        if webhook.company is None:
            return str(webhook.salon_id or support.NOTHING)
        return support.link(webhook.company, _salon(webhook.company))

    @admin.display(description=_("body"))
    def body_full(self, webhook: InboundWebhook) -> str:
        return support.json_block(webhook.body, phones=True)

    @admin.display(description=_("body"))
    def body_masked(self, webhook: InboundWebhook) -> str:
        return support.json_block(webhook.body, phones=False)

    def describe(self, row: InboundWebhook) -> str:
        return f"{row.name}, {_salon(row.company) if row.company else row.salon_id}, #{row.pk}"


class SalonSessionAdmin(SessionAdmin):
    """Sessions with the salons that use them."""

    list_display = ["number", "salons", *SessionAdmin.list_display[1:]]
    search_fields = [*SessionAdmin.search_fields, "=companies__salon_id", "companies__title"]
    fieldsets = [
        (None, {"fields": ["salons", *SessionAdmin.fieldsets[0][1]["fields"]]}),
        *SessionAdmin.fieldsets[1:],
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        deferred = Company.objects.defer(*COMPANY_SECRETS)
        return super().get_queryset(request).prefetch_related(Prefetch("companies", deferred))

    @admin.display(description=_("salons"))
    def salons(self, session: Session) -> str:
        links = [support.link(company, _salon(company)) for company in session.companies.all()]
        return support.joined(links) or support.NOTHING

    def describe(self, row: Session) -> str:
        named = ", ".join(_salon(company) for company in row.companies.all())
        salon = named or gettext("no salon")
        return f"{salon}: {mask_phone(row.phone) or str(row.pk)[:8]}"


admin.site.unregister(Session)
admin.site.register(Session, SalonSessionAdmin)
