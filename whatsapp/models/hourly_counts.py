"""How many messages of each hour stand in which status: what overviews draw without counting messages."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from whatsapp.models.messages import Message


class HourlyCount(models.Model):
    """The messages taken within one hour (UTC) that stood in one status when they were last counted."""

    hour = models.DateTimeField()
    status = models.CharField(max_length=16, choices=Message.Status.choices)
    number = models.PositiveIntegerField()
    callbacks_dead = models.PositiveIntegerField(default=0, help_text=_("whose callback was given up"))

    class Meta:
        verbose_name = _("hourly count of messages")
        verbose_name_plural = _("hourly counts of messages")
        constraints = [models.UniqueConstraint(fields=["hour", "status"], name="hourly_count_once")]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.status}: {self.number}"
