"""Which clients want no messages from a salon."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class OptOut(models.Model):
    """One client's last word to one salon: no more messages, or messages again.

    The row stays when the client opts in again (`undone_at`), so that his words are taken in the order in
    which he said them, whatever the order in which they are read.
    """

    class Scope(models.TextChoices):
        ADDS = "adds", _("advertising")
        EVERYTHING = "everything", _("advertising and messages about bookings")

    company = models.ForeignKey("marketplace.Company", on_delete=models.CASCADE, related_name="opt_outs")
    phone = models.CharField(max_length=20, help_text=_("digits only"))
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
            models.UniqueConstraint(fields=["company", "phone"], name="opt_out_once_per_client"),
            models.CheckConstraint(condition=Q(scope__in=["adds", "everything"]), name="opt_out_scope_known"),
            models.CheckConstraint(condition=~Q(phone=""), name="opt_out_has_phone"),
        ]
        indexes = [models.Index(fields=["phone"], name="opt_out_by_phone")]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def holds(self) -> bool:
        return self.undone_at is None
