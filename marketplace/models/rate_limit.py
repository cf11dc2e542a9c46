"""The shared limit on calls to YClients."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class CallSlot(models.Model):
    """When the next call to YClients may start: one row shared by all our processes on one address."""

    name = models.CharField(max_length=32, primary_key=True)
    next_start_at = models.DateTimeField()

    class Meta:
        verbose_name = _("YClients call slot")
        verbose_name_plural = _("YClients call slots")

    def __str__(self) -> str:
        return self.name
