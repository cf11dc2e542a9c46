"""Salons, their events and webhooks, for support staff; and the salons beside their WhatsApp sessions.

API keys and webhook secrets are never read here.
"""

from django.contrib import admin
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.masking import mask_excerpt
from config.shared.operations import OperableAdmin
from config.shared.support import ReadMostlyAdmin
from marketplace.admin import event_words
from marketplace.admin.billing_page import BILLING_PAGE, WithBilling
from marketplace.admin.booking_page import PAGE, WithBookingMessages
from marketplace.admin.comparison import COMPARE, REPORT_CHANNEL, WithComparison
from marketplace.admin.messages import SalonMessageAdmin
from marketplace.admin.operations import (
    HOLD_SENDING,
    RELEASE_SENDING,
    REMOVE,
    REPLAY_WEBHOOK,
    RETRY_ACTIVATION,
)
from marketplace.admin.search_page import WithSearch
from marketplace.admin.sessions import COMPANY_SECRETS, SalonSessionAdmin, salon_name
from marketplace.admin.waiting import WaitingFilter
from marketplace.models import AccessRequest, Company, InboundWebhook, MarketplaceEvent, OptOut, RecordState
from whatsapp.admin.long_lists import LongListAdmin
from whatsapp.admin.sessions import STATUS_TONES
from whatsapp.models import Message, Session

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
    "whatsapp_logged_out": "bad", "uninstall_requested": "waiting", "uninstall_denied": "bad",
    "uninstalled": "bad", "payment_notified": "good", "refund_notified": "waiting",
    "payment_received": "good", "payment_refused": "bad", "channel_down": "bad", "channel_up": "good",
    "ownership_disputed": "bad", "ownership_decided": "good", "access_requested": "waiting",
    "access_approved": "good", "access_link_sent": "busy", "access_link_used": "good",
}  # fmt: skip
SESSION_SECRETS = ("session__qr", "session__pairing_code")


def _said(text: str) -> str:
    """Errors are kept as English msgids."""
    return gettext(text) if text else ""


@admin.register(Company)
class CompanyAdmin(WithSearch, WithBilling, WithBookingMessages, WithComparison):
    """Salons and how far their integration has come."""

    hidden = (*COMPANY_SECRETS, *SESSION_SECRETS)
    operations = (RETRY_ACTIVATION, COMPARE, REPORT_CHANNEL, HOLD_SENDING, RELEASE_SENDING, REMOVE)
    list_display = ("salon", "status_word", "whatsapp", "phone_masked", "error", "registered", "activated")
    list_filter = (
        ("status", support.titled(_("Status"))),
        ("session__status", support.titled(_("WhatsApp"), admin.ChoicesFieldListFilter)),
        ("registered_at", support.titled(_("Registered"), admin.DateFieldListFilter)),
        WaitingFilter,
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
    private = {"phone_full": "phone_masked", "user_phone": "user_phone_masked"}
    fieldsets = [
        (None, {"fields": ["number", "name", "status_word", "whatsapp", "related", "error_block"]}),
        (_("Salon"), {"fields": ["phone_full", "mail", "place", "time_zone"]}),
        (_("Who connected it"), {"fields": [
            "user_id", "user_name", "user_phone",
            "user_email", "disputed", "confirmed", "requests"]}),
        (_("Activation"), {"fields": [
            "has_api_key", "tries", "activation_next", "activation_claimed", "redirect"]}),
        WithComparison.COMPARISON,
        (_("Times"), {"fields": [
            "registered", "activated", "frozen", "uninstalled", "created", "updated"]}),
    ]  # fmt: skip

    number = support.plain_column("salon_id", _("number in YClients"))
    name = support.plain_column("title", _("name"))
    phone_full = support.plain_column("phone", _("phone"))
    mail = support.plain_column("email", _("email"))
    place = support.plain_column("address", _("address"))
    time_zone = support.plain_column("timezone_name", _("time zone"))
    user_id = support.plain_column("marketplace_user_id", _("number"))
    user_name = support.plain_column("marketplace_user_name", _("name"))
    user_phone = support.plain_column("marketplace_user_phone", _("phone"))
    user_email = support.plain_column("marketplace_user_email", _("email"))
    tries = support.plain_column("activation_attempts", _("attempts"))
    status_word = support.state_column("status", _("status"), COMPANY_TONES)
    phone_masked = support.masked_phone_column("phone", _("phone"))
    user_phone_masked = support.masked_phone_column("marketplace_user_phone", _("phone"))
    disputed = support.moment_column("disputed_at", _("two users came for it"))
    confirmed = support.moment_column("owner_confirmed_at", _("owner confirmed by support"))
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
        return salon_name(company)

    @admin.display(description=_("WhatsApp"), ordering="session__status")
    def whatsapp(self, company: Company) -> str:
        session = company.session
        if session is None:
            return support.NOTHING
        word = support.state(session.get_status_display(), STATUS_TONES.get(session.status, "off"))
        return support.link(session, word)

    @admin.display(description=_("more"))
    def related(self, company: Company) -> str:
        session = company.session_id
        sent = [support.list_link(Message, _("messages"), session__id__exact=session)] if session else []
        return support.joined([
            *sent,
            support.list_link(MarketplaceEvent, _("events"), salon_id__exact=company.salon_id),
            support.list_link(InboundWebhook, _("webhooks"), salon_id__exact=company.salon_id),
            support.list_link(OptOut, _("opt-outs"), company__id__exact=company.pk),
            support.list_link(RecordState, _("bookings"), company__id__exact=company.pk),
            support.page_link(PAGE, company.pk, _("booking messages")),
            support.page_link(BILLING_PAGE, company.pk, _("billing")),
        ])  # fmt: skip

    @admin.display(description=_("access requests"))
    def requests(self, company: Company) -> str:
        return support.list_link(AccessRequest, _("access requests"), company__id__exact=company.pk)

    @admin.display(description=_("error"))
    def error(self, company: Company) -> str:
        return mask_excerpt(_said(company.activation_error), 80) or support.NOTHING

    @admin.display(description=_("error"))
    def error_block(self, company: Company) -> str:
        return support.block(_said(company.activation_error))

    @admin.display(description=_("API key"))
    def has_api_key(self, company: Company) -> str:
        return gettext("issued") if company.api_key_digest is not None else support.NOTHING

    @admin.display(description=_("where the owner was sent"))
    def redirect(self, company: Company) -> str:
        return company.redirect_url.partition("?")[0] or support.NOTHING

    def describe(self, row: Company) -> str:
        return salon_name(row)


@admin.register(MarketplaceEvent)
class MarketplaceEventAdmin(ReadMostlyAdmin):
    """What happened to integrations; append-only."""

    hidden = tuple(f"company__{name}" for name in COMPANY_SECRETS)
    list_display = ("type_word", "salon", "data_line", "created")
    list_filter = (
        support.words_filter(_("Event"), "event_type", MarketplaceEvent.Type.choices),
        ("created_at", support.titled(_("Time"), admin.DateFieldListFilter)),
    )
    list_select_related = ("company",)
    search_fields = ("=salon_id", "company__title", "event_type")
    date_hierarchy = "created_at"
    fieldsets = [(None, {"fields": ["type_word", "salon", "created", "data"]})]

    created = support.moment_column("created_at", _("time"))

    @admin.display(description=_("event"), ordering="event_type")
    def type_word(self, event: MarketplaceEvent) -> str:
        return support.state(event.words, EVENT_TONES.get(event.event_type, "off"))

    @admin.display(description=_("salon"), ordering="salon_id")
    def salon(self, event: MarketplaceEvent) -> str:
        return (
            support.link(event.company, salon_name(event.company)) if event.company else str(event.salon_id)
        )

    @admin.display(description=_("data"))
    def data_line(self, event: MarketplaceEvent) -> str:
        return event_words.line(event.event_data)

    @admin.display(description=_("data"))
    def data(self, event: MarketplaceEvent) -> str:
        return support.json_block(event.event_data, phones=False)


@admin.register(InboundWebhook)
class InboundWebhookAdmin(LongListAdmin, OperableAdmin):
    """Webhooks as they arrived, and what became of them."""

    hidden = tuple(f"company__{name}" for name in COMPANY_SECRETS)
    unlisted = ("body", "last_error")
    operations = (REPLAY_WEBHOOK,)
    list_display = ("title", "state_word", "sort", "salon", "tries", "again", "received", "applied")
    list_filter = (
        ("state", support.titled(_("State"))),
        ("kind", support.titled(_("Kind"))),
        ("received_at", support.titled(_("Received"), admin.DateFieldListFilter)),
        WaitingFilter,
    )
    list_select_related = ("company",)
    search_fields = ("=salon_id", "company__title", "name")
    private = {"body_full": "body_masked"}
    fieldsets = [
        (None, {"fields": ["title", "sort", "state_word", "salon", "received", "applied"]}),
        (_("Attempts"), {"fields": ["tries", "again", "next_attempt", "last_error_block"]}),
        (_("Body"), {"fields": ["body_full"]}),
    ]

    title = support.plain_column("name", _("event"))
    tries = support.plain_column("attempts", _("attempts"))
    again = support.plain_column("repeats", _("arrived again"))
    state_word = support.state_column("state", _("state"), WEBHOOK_TONES)
    received = support.moment_column("received_at", _("received"))
    applied = support.moment_column("applied_at", _("applied"))
    next_attempt = support.moment_column("next_attempt_at", _("next attempt"))
    last_error_block = support.block_field("last_error", _("last error"))

    @admin.display(description=_("salon"), ordering="salon_id")
    def salon(self, webhook: InboundWebhook) -> str:
        if webhook.company is None:
            return str(webhook.salon_id or support.NOTHING)
        return support.link(webhook.company, salon_name(webhook.company))

    @admin.display(description=_("kind"), ordering="kind")
    def sort(self, webhook: InboundWebhook) -> str:
        return webhook.get_kind_display()

    @admin.display(description=_("body"))
    def body_full(self, webhook: InboundWebhook) -> str:
        return support.json_block(webhook.body, phones=True)

    @admin.display(description=_("body"))
    def body_masked(self, webhook: InboundWebhook) -> str:
        return support.json_block(webhook.body, phones=False)

    def describe(self, row: InboundWebhook) -> str:
        return f"{row.name}, {salon_name(row.company) if row.company else row.salon_id}, #{row.pk}"


admin.site.unregister(Session)
admin.site.register(Session, SalonSessionAdmin)
admin.site.unregister(Message)
admin.site.register(Message, SalonMessageAdmin)
