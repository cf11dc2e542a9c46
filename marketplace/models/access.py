"""Who else wants power over a salon that has been given to somebody, and what became of it."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class AccessRequest(models.Model):
    """A YClients user came by a signed link for a salon that belongs to another user.

    Power comes in one of two ways: support approves the user for an hour (`approved_until`), or somebody
    opens the one-time link that was sent to the salon's own WhatsApp (`link_used_at`). Of the link only a
    digest is kept.
    """

    company = models.ForeignKey(
        "marketplace.Company", on_delete=models.CASCADE, related_name="access_requests"
    )
    # Digest of the user's identity at YClients (`ownership.digest_of`): the same as in the user's tokens.
    holder = models.CharField(max_length=64, editable=False)
    user_id = models.CharField(max_length=255, blank=True)
    user_name = models.CharField(max_length=255, blank=True)
    user_phone = models.CharField(max_length=255, blank=True)
    user_email = models.CharField(max_length=255, blank=True)
    asked_at = models.DateTimeField(help_text=_("last visit"))
    closed_at = models.DateTimeField(null=True, blank=True, help_text=_("decided, or the salon was removed"))

    approved_until = models.DateTimeField(null=True, blank=True)
    approved_by = models.CharField(max_length=255, blank=True)

    link_digest = models.CharField(max_length=64, null=True, blank=True, unique=True, editable=False)
    link_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    link_sent_at = models.DateTimeField(null=True, blank=True)
    link_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("access request")
        verbose_name_plural = _("access requests")
        ordering = ["-asked_at"]
        constraints = [
            models.UniqueConstraint(fields=["company", "holder"], name="access_request_once_per_user")
        ]
        indexes = [
            # Support's list of what waits for a decision.
            models.Index(
                fields=["-asked_at"], condition=models.Q(closed_at__isnull=True), name="access_request_open"
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
