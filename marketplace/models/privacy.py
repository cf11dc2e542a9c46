"""Who exported or erased which client's personal data; the audit itself holds no whole phone."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ClientDataRequest(models.Model):
    """One export or erasure of everything that is held of one client."""

    class Action(models.TextChoices):
        EXPORT = "export", _("export")
        ERASE = "erase", _("erasure")

    action = models.CharField(max_length=6, choices=Action.choices)
    phone_masked = models.CharField(max_length=20)
    salon_id = models.PositiveBigIntegerField(null=True, blank=True, help_text=_("empty: all salons"))
    counts = models.JSONField(default=dict, help_text=_("rows of each kind"))
    by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("request about a client's data")
        verbose_name_plural = _("requests about clients' data")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(action__in=["export", "erase"]), name="client_data_action_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.phone_masked}"
