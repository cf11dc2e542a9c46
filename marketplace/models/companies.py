"""Salons that came from the YClients marketplace, and everything YClients told us.

`Company.id` is ours; `salon_id` is YClients' number for the same salon. The two never mix.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from whatsapp.crypto.encryption import EncryptedTextField
from whatsapp.models import Session


class WrongStatus(Exception):
    """The company was not in a status that this transition starts from: another writer was first."""


class Company(models.Model):
    """A salon: one branch in YClients."""

    class Status(models.TextChoices):
        PENDING_WHATSAPP = "pending_whatsapp", _("waiting for WhatsApp")
        ACTIVATING = "activating", _("activating")
        ACTIVE = "active", _("active")
        ACTIVATION_FAILED = "activation_failed", _("activation failed")
        FROZEN = "frozen", _("frozen")
        UNINSTALLED = "uninstalled", _("uninstalled")

    salon_id = models.PositiveBigIntegerField(unique=True, help_text=_("the salon's number in YClients"))
    title = models.CharField(max_length=255, blank=True)
    phone = models.CharField(max_length=32, blank=True)
    email = models.CharField(max_length=255, blank=True)
    address = models.CharField(max_length=500, blank=True)
    timezone_name = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING_WHATSAPP)
    session = models.ForeignKey(
        Session, null=True, blank=True, on_delete=models.PROTECT, related_name="companies"
    )

    api_key = EncryptedTextField(blank=True, default="", editable=False)
    api_key_digest = models.CharField(max_length=64, null=True, blank=True, unique=True, editable=False)
    webhook_secret = EncryptedTextField(blank=True, default="", editable=False)
    webhook_secret_digest = models.CharField(
        max_length=64, null=True, blank=True, unique=True, editable=False
    )
    # Its address before the last change, which works for some days more.
    old_webhook_secret = EncryptedTextField(blank=True, default="", db_default="", editable=False)
    old_webhook_secret_digest = models.CharField(
        max_length=64, null=True, blank=True, unique=True, editable=False
    )
    old_webhook_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    # Set with the key, before the call: YClients waited for a key then, so if it says "active" later, it is
    # because it took this one.
    key_offered = models.BooleanField(default=False, editable=False)

    # To whom the salon belongs: the first signed user who came for it; see `salons.ownership`.
    marketplace_user_id = models.CharField(max_length=255, blank=True)
    marketplace_user_name = models.CharField(max_length=255, blank=True)
    marketplace_user_phone = models.CharField(max_length=255, blank=True)
    marketplace_user_email = models.CharField(max_length=255, blank=True)
    owner_confirmed_at = models.DateTimeField(
        null=True, blank=True, help_text=_("support has decided to whom the salon belongs")
    )
    disputed_at = models.DateTimeField(
        null=True, blank=True, help_text=_("two users came for the salon: nobody may link it")
    )

    # The activation's queue: the row is claimed by moving `activation_claimed_until` on.
    activation_attempts = models.PositiveIntegerField(default=0)
    activation_next_at = models.DateTimeField(null=True, blank=True)
    activation_claimed_until = models.DateTimeField(null=True, blank=True)
    activation_error = models.TextField(blank=True)
    redirect_url = models.URLField(
        max_length=1000, blank=True, help_text=_("where YClients sends the owner next")
    )

    # When the linked device, whose connection was last written down as an event, was paired.
    whatsapp_noted_at = models.DateTimeField(null=True, blank=True, editable=False)

    # Its owner holds messages back. Of several salons on one number, one is enough.
    paused_at = models.DateTimeField(null=True, blank=True, help_text=_("the owner has paused sending"))
    # Support does; neither its owner nor a payment ends that.
    held_at = models.DateTimeField(null=True, blank=True, help_text=_("support has paused sending"))
    # Its owner unlinked the phone in the cabinet, and so knows that WhatsApp is off.
    unlinked_at = models.DateTimeField(null=True, blank=True, help_text=_("the owner has unlinked the phone"))

    registered_at = models.DateTimeField(null=True, blank=True)
    activated_at = models.DateTimeField(null=True, blank=True)
    welcomed_at = models.DateTimeField(null=True, blank=True, help_text=_("greeted, or too late for it"))
    frozen_at = models.DateTimeField(null=True, blank=True)
    uninstalled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("company")
        verbose_name_plural = _("companies")
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "pending_whatsapp",
                        "activating",
                        "active",
                        "activation_failed",
                        "frozen",
                        "uninstalled",
                    ]
                ),
                name="company_status_known",
            ),
            models.CheckConstraint(condition=Q(salon_id__gt=0), name="company_salon_id_positive"),
            models.CheckConstraint(
                condition=~Q(status__in=["activating", "active"]) | ~Q(api_key=""),
                name="company_active_has_api_key",
            ),
            models.CheckConstraint(
                condition=Q(api_key="", api_key_digest__isnull=True)
                | (~Q(api_key="") & Q(api_key_digest__isnull=False)),
                name="company_api_key_with_digest",
            ),
        ]
        indexes = [
            # The worker's searches: pending salons to activate, interrupted activations to settle.
            models.Index(fields=["status", "activation_next_at"], name="company_activation_queue"),
        ]

    # Encrypted columns: who does not need them reads the row without (`defer`), and decrypts nothing.
    SECRETS = ("api_key", "webhook_secret", "old_webhook_secret")
    # Changes that destroy what YClients was given; for `move`.
    WITHOUT_SECRETS: ClassVar[dict[str, Any]] = {
        "api_key": "",
        "api_key_digest": None,
        "webhook_secret": "",
        "webhook_secret_digest": None,
        "old_webhook_secret": "",
        "old_webhook_secret_digest": None,
        "old_webhook_secret_until": None,
        "key_offered": False,
    }

    def __str__(self) -> str:
        return self.title or f"{self.salon_id}"

    def note(self, event_type: str, **data: Any) -> "MarketplaceEvent":
        """Append an event of this salon; `data` says who caused it and what changed, without secrets."""
        return MarketplaceEvent.objects.create(
            company=self, salon_id=self.salon_id, event_type=event_type, event_data=data
        )

    def move(self, *, to: str, sources: Sequence[str], only_if: Q | None = None, **changes: Any) -> None:
        """Make a status transition by one conditional update and refresh the row.

        Raises WrongStatus, with nothing changed, when the row is not in one of `sources` any more, or does
        not meet `only_if`.
        """
        changes["updated_at"] = timezone.now()
        moved = Company.objects.filter(only_if or Q(), pk=self.pk, status__in=sources).update(
            status=to, **changes
        )
        if not moved:
            self.refresh_from_db(fields=["status"])
            raise WrongStatus(f"salon {self.salon_id} is {self.status}, not one of {', '.join(sources)}")
        self.refresh_from_db()


class MarketplaceEvent(models.Model):
    """What happened to a salon's integration and who caused it; append-only."""

    class Type(models.TextChoices):
        REGISTRATION_STARTED = "registration_started", _("registration started")
        WHATSAPP_CONNECTED = "whatsapp_connected", _("WhatsApp connected")
        WHATSAPP_LOGGED_OUT = "whatsapp_logged_out", _("WhatsApp logged out")
        INTEGRATION_ACTIVATED = "integration_activated", _("integration activated")
        ACTIVATION_FAILED = "activation_failed", _("activation failed")
        FROZEN = "frozen", _("frozen")
        UNFROZEN = "unfrozen", _("unfrozen")
        UNINSTALL_REQUESTED = "uninstall_requested", _("uninstall requested")
        UNINSTALL_DENIED = "uninstall_denied", _("YClients denied the uninstall")
        UNINSTALLED = "uninstalled", _("uninstalled")
        PAYMENT_NOTIFIED = "payment_notified", _("payment notified")
        REFUND_NOTIFIED = "refund_notified", _("refund notified")
        PAYMENT_REFUSED = "payment_refused", _("YClients refused a payment or its refund")
        PAYMENT_RECEIVED = "payment_received", _("YClients reported a payment")
        FORWARDING_CHANGED = "forwarding_changed", _("forwarding address changed")
        FORWARDING_SWITCHED = "forwarding_switched", _("forwarding switched on or off")
        FORWARDING_SECRET_RENEWED = "forwarding_secret_renewed", _("forwarding secret renewed")
        FORWARDING_TESTED = "forwarding_tested", _("test sent to the forwarding address")
        FORWARDING_REPLAYED = "forwarding_replayed", _("given up delivery forwarded again")
        WEBHOOK_ADDRESS_CHANGED = "webhook_address_changed", _("webhook address changed")
        CHANNEL_DOWN = "channel_down", _("YClients was told that WhatsApp is down")
        CHANNEL_UP = "channel_up", _("YClients was told that WhatsApp is back")
        OWNERSHIP_DISPUTED = "ownership_disputed", _("two users came for the salon")
        OWNERSHIP_DECIDED = "ownership_decided", _("support gave the salon to a user")
        ACCESS_REQUESTED = "access_requested", _("another user asked for access")
        ACCESS_APPROVED = "access_approved", _("support gave access for an hour")
        ACCESS_LINK_SENT = "access_link_sent", _("one-time link sent to the salon's WhatsApp")
        ACCESS_LINK_USED = "access_link_used", _("one-time link was opened")
        CABINET_OPENED = "cabinet_opened", _("cabinet opened")
        SENDING_PAUSED = "sending_paused", _("sending paused")
        SENDING_RESUMED = "sending_resumed", _("sending resumed")
        WHATSAPP_UNLINKED = "whatsapp_unlinked", _("WhatsApp unlinked by us")
        MESSAGE_RESENT = "message_resent", _("message sent again")
        MESSAGES_EXPORTED = "messages_exported", _("messages exported")
        OPT_OUT_CHANGED = "opt_out_changed", _("opt-out changed in the cabinet")
        CLIENT_ANSWERED = "client_answered", _("client answered from the cabinet")
        TEXTS_CHANGED = "texts_changed", _("texts of booking messages changed")
        TEST_SENT = "test_sent", _("test message sent")
        OUTAGE_EMAIL_CHANGED = "outage_email_changed", _("e-mail for outages changed")

    company = models.ForeignKey(
        Company, null=True, blank=True, on_delete=models.SET_NULL, related_name="marketplace_events"
    )
    salon_id = models.PositiveBigIntegerField(null=True, blank=True)
    event_type = models.CharField(max_length=40)
    event_data = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("marketplace event")
        verbose_name_plural = _("marketplace events")
        ordering = ["-id"]
        indexes = [
            # "The latest registration of this salon" and a salon's history in the admin.
            models.Index(fields=["salon_id", "event_type", "-id"], name="event_latest_of_salon"),
        ]

    def __str__(self) -> str:
        return f"{self.words} {self.salon_id or ''}".strip()

    @property
    def words(self) -> str:
        """What happened, for people; the machine word where an older version wrote another one."""
        return str(dict(self.Type.choices).get(self.event_type, self.event_type))
