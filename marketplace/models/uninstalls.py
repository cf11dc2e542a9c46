"""Salons that have removed the application, or that we remove it from; the row is the queue of the calls."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class UninstallRequest(models.Model):
    """A webhook or support staff said "uninstall"; the salon is frozen until YClients has said what is so."""

    company = models.OneToOneField(
        "marketplace.Company", on_delete=models.CASCADE, related_name="uninstall_request"
    )
    remove_there = models.BooleanField(
        default=False, db_default=False, help_text=_("YClients is to remove the application from the salon")
    )
    requested_at = models.DateTimeField(default=timezone.now)
    next_at = models.DateTimeField(default=timezone.now, help_text=_("YClients is not asked before"))
    claimed_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    missing_since = models.DateTimeField(
        null=True, blank=True, help_text=_("YClients has said since then that we are not installed")
    )
    failing_since = models.DateTimeField(
        null=True, blank=True, help_text=_("YClients has not been able to answer since then")
    )
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("requested uninstall")
        verbose_name_plural = _("requested uninstalls")
        indexes = [models.Index(fields=["next_at"], name="uninstall_queue")]

    def __str__(self) -> str:
        return str(self.company_id)
