"""Encrypted copies of the key stores of linked devices."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from whatsapp.crypto.encryption import EncryptedBinaryField
from whatsapp.models.sessions import Session


class StoredCredentials(models.Model):
    """The encrypted copy of a session's key store, by which any machine can take the session over."""

    session = models.OneToOneField(Session, on_delete=models.CASCADE, related_name="credentials")
    generation = models.PositiveBigIntegerField(default=1, help_text=_("grows with every copy taken"))
    store = EncryptedBinaryField(editable=False)
    checksum = models.CharField(max_length=64, help_text=_("SHA-256 of the key store"))
    taken_at = models.DateTimeField()
    taken_by = models.CharField(max_length=64, blank=True, help_text=_("pool that took the copy"))

    class Meta:
        verbose_name = verbose_name_plural = _("stored credentials")

    def __str__(self) -> str:
        return f"{self.session_id} #{self.generation}"
