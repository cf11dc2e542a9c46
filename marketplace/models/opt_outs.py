"""Which clients want no messages from a salon."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from whatsapp.crypto.encryption import EncryptedTextField


class OptOut(models.Model):
    """One client's last word to one salon: no more messages, or messages again.

    The row stays when the client opts in again (`undone_at`), so that his words are taken in the order in
    which he said them, whatever the order in which they are read. When his data was erased, a keyed hash of
    his phone stands for it, so that his opt-out still holds.
    """

    class Scope(models.TextChoices):
        ADDS = "adds", _("advertising")
        EVERYTHING = "everything", _("advertising and messages about bookings")

    company = models.ForeignKey("marketplace.Company", on_delete=models.CASCADE, related_name="opt_outs")
    phone = models.CharField(max_length=20, blank=True, help_text=_("digits only; empty when erased"))
    phone_hash = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text=_("stands for an erased phone")
    )
    scope = models.CharField(max_length=12, choices=Scope.choices, default=Scope.EVERYTHING)
    said_at = models.DateTimeField(default=timezone.now, help_text=_("when the client last said so"))
    said_by = models.CharField(max_length=150, blank=True, help_text=_("the client, or who of support"))
    undone_at = models.DateTimeField(null=True, blank=True, help_text=_("messages are welcome again"))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("opt-out")
        verbose_name_plural = _("opt-outs")
        ordering = ["-said_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["company", "phone"], condition=~Q(phone=""), name="opt_out_once_per_phone"
            ),
            models.UniqueConstraint(
                fields=["company", "phone_hash"], condition=~Q(phone_hash=""), name="opt_out_once_per_hash"
            ),
            models.CheckConstraint(condition=Q(scope__in=["adds", "everything"]), name="opt_out_scope_known"),
            models.CheckConstraint(condition=~Q(phone="", phone_hash=""), name="opt_out_has_phone_or_hash"),
        ]
        indexes = [models.Index(fields=["phone"], name="opt_out_by_phone")]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def holds(self) -> bool:
        return self.undone_at is None


class PhoneHashKey(models.Model):
    """The one key of the hashes of erased phones; itself encrypted, so a copy of the database lets nobody
    guess the phones."""

    key = EncryptedTextField(editable=False)

    def __str__(self) -> str:
        return str(self.pk)
