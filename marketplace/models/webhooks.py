"""Webhooks of YClients as they arrived; the rows are the queue of their processing."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from marketplace.models.companies import Company


class InboundWebhook(models.Model):
    """A webhook as it arrived, kept before it was answered; the row is its own queue."""

    class Kind(models.TextChoices):
        LIFECYCLE = "lifecycle", _("lifecycle")
        ENTITY = "entity", _("entity")

    class State(models.TextChoices):
        RECEIVED = "received", _("received")
        APPLIED = "applied", _("applied")
        IGNORED = "ignored", _("ignored")
        FAILED = "failed", _("failed")
        DEAD = "dead", _("dead")

    # What waits or was given up: what people watch, and few beside the applied.
    UNFINISHED = (State.RECEIVED, State.FAILED, State.DEAD)

    kind = models.CharField(max_length=16, choices=Kind.choices)
    dedupe_key = models.CharField(max_length=255, unique=True)
    salon_id = models.PositiveBigIntegerField(null=True, blank=True)
    company = models.ForeignKey(
        Company, null=True, blank=True, on_delete=models.SET_NULL, related_name="webhooks"
    )
    name = models.CharField(max_length=64, help_text=_("lifecycle event, or resource and status"))
    body = models.JSONField(help_text=_("as received, secrets removed"))
    state = models.CharField(max_length=16, choices=State.choices, default=State.RECEIVED)
    repeats = models.PositiveIntegerField(default=0, help_text=_("times it arrived again"))
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True, help_text=_("traceback of the last failure"))
    received_at = models.DateTimeField(auto_now_add=True)
    applied_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("inbound webhook")
        verbose_name_plural = _("inbound webhooks")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["received", "applied", "ignored", "failed", "dead"]),
                name="webhook_state_known",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(state__in=["received", "failed"]),
                name="webhook_queue",
            ),
            models.Index(fields=["salon_id", "-id"], name="webhook_by_salon"),
            # Counts and the oldest of what is unfinished, for metrics and support staff.
            models.Index(
                fields=["state", "received_at"],
                condition=Q(state__in=["received", "failed", "dead"]),
                name="webhook_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.salon_id}"
