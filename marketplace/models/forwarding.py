"""Where a salon wants what its clients write to be forwarded, and how far that is. The rows are the queue."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from whatsapp.crypto.encryption import EncryptedTextField


class Forwarding(models.Model):
    """A salon's address for what its clients write, such as a bot's."""

    company = models.OneToOneField("marketplace.Company", on_delete=models.CASCADE, related_name="forwarding")
    enabled = models.BooleanField(default=True)
    # What clients write is always forwarded; these two come beside it.
    sends_statuses = models.BooleanField(
        _("states of messages sent over the API"), default=False, db_default=False
    )
    sends_session_changes = models.BooleanField(
        _("WhatsApp linked or logged out"), default=False, db_default=False
    )
    # Addresses of bots often hold a token.
    url = EncryptedTextField(help_text=_("an https address that takes POST"))
    secret = EncryptedTextField(blank=True, default="", editable=False)

    # One worker at a time delivers to one address, so that messages keep their order and a slow receiver
    # holds up nobody else.
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False, help_text=_("in a row"))
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    delivered_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("forwarding")
        verbose_name_plural = _("forwardings")

    def __str__(self) -> str:
        return str(self.company_id)


class ForwardingChange(models.Model):
    """One change of a salon's address: who asked for it, who agreed, and what became of it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waits for a second person")
        APPLIED = "applied", _("in force")
        REJECTED = "rejected", _("rejected")
        REPLACED = "replaced", _("replaced by a later one")

    forwarding = models.ForeignKey(Forwarding, on_delete=models.CASCADE, related_name="changes")
    url = EncryptedTextField(editable=False)
    enabled = models.BooleanField(default=True)
    host_before = models.CharField(max_length=255, blank=True)
    host_after = models.CharField(max_length=255)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField(default=timezone.now)
    decided_by = models.CharField(max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("change of a forwarding address")
        verbose_name_plural = _("changes of forwarding addresses")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "applied", "rejected", "replaced"]),
                name="forwarding_change_state_known",
            ),
            models.UniqueConstraint(
                fields=["forwarding"], condition=Q(state="waiting"), name="forwarding_change_one_waits"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.host_before} > {self.host_after}"


class ForwardedMessage(models.Model):
    """One event on its way to a salon's address: mostly a message from a client."""

    class Event(models.TextChoices):
        MESSAGE_RECEIVED = "message.received", _("a client wrote")
        MESSAGE_STATUS = "message.status", _("state of a message")
        SESSION_CHANGED = "session.changed", _("WhatsApp linked or logged out")
        TEST = "test", _("test")  # asked for in the cabinet, to see whether the address answers

    class State(models.TextChoices):
        DUE = "due", _("to be delivered")
        DELIVERED = "delivered", _("delivered")
        DEAD = "dead", _("given up")

    # The rows of which `text_is_gone` is true.
    TEXT_IS_GONE = Q(event="message.received", message__pruned_at__isnull=False)

    forwarding = models.ForeignKey(Forwarding, on_delete=models.CASCADE, related_name="messages")
    message = models.ForeignKey(
        "whatsapp.Message", null=True, blank=True, on_delete=models.CASCADE, related_name="forwarded"
    )
    event = models.CharField(
        max_length=24,
        choices=Event.choices,
        default=Event.MESSAGE_RECEIVED,
        db_default=Event.MESSAGE_RECEIVED.value,
    )
    # Names the event among those of its kind: the state of a message, the number of a marketplace event.
    subject = models.CharField(max_length=32, blank=True, default="", db_default="")
    details = models.JSONField(null=True, blank=True, help_text=_("what it says, but no client's text"))
    # The receiver knows a repeat by it.
    delivery_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    state = models.CharField(max_length=12, choices=State.choices, default=State.DUE)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    since = models.DateTimeField(default=timezone.now, help_text=_("when it was last asked for"))
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("forwarded message")
        verbose_name_plural = _("forwarded messages")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["forwarding", "message", "event", "subject"], name="forwarded_event_once"
            ),
            models.UniqueConstraint(
                fields=["forwarding", "event", "subject"],
                condition=Q(message=None),
                name="forwarded_session_event_once",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["due", "delivered", "dead"]), name="forwarded_state_known"
            ),
        ]
        indexes = [
            models.Index(fields=["forwarding", "id"], condition=Q(state="due"), name="forwarded_queue"),
            # Counts of what was given up, for metrics and support staff.
            models.Index(fields=["-id"], condition=Q(state="dead"), name="forwarded_dead"),
        ]

    def __str__(self) -> str:
        return str(self.delivery_id)

    @property
    def text_is_gone(self) -> bool:
        """What the client wrote is no longer kept, so there is nothing to deliver."""
        received = self.event == self.Event.MESSAGE_RECEIVED
        return received and self.message is not None and self.message.pruned_at is not None
