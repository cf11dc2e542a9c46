"""Keys of the public API, by which a salon's or a partner's own systems use their salons here."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from marketplace.models.companies import Company


class ApiKey(models.Model):
    """One key: which salons it speaks for, what it may do, and until when.

    The key itself is shown once; the row holds its SHA-256, which is enough for a random key of 256 bits.
    """

    class Scope(models.TextChoices):
        MESSAGES_SEND = "messages:send", _("send messages")
        MESSAGES_READ = "messages:read", _("read messages and their states")
        SESSION_READ = "session:read", _("read the state of WhatsApp")
        OPT_OUTS = "opt-outs", _("read and change opt-outs")
        WEBHOOKS = "webhooks", _("manage outgoing webhooks")

    name = models.CharField(_("name"), max_length=100, help_text=_("what the key is for"))
    companies = models.ManyToManyField(Company, verbose_name=_("salons"), related_name="public_api_keys")
    prefix = models.CharField(max_length=16, unique=True, help_text=_("the part that names the key"))
    key_hash = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("valid until"), null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text=_("to the minute"))

    # The key itself, on the object that has just been made and nowhere else.
    shown_key: str = ""

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    @property
    def is_valid(self) -> bool:
        """Neither revoked nor expired."""
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return self.revoked_at is None and not expired
