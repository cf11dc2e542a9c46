"""Recurring work that one worker does for all: the row says when it is due next."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class ScheduledTask(models.Model):
    """One kind of recurring work, when it is due next, and how the last round went."""

    name = models.CharField(max_length=32, unique=True)
    # Claimed by being moved on: a worker that dies in the middle leaves it to another for later.
    next_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    report = models.JSONField(default=dict, blank=True, help_text=_("what the last complete round has done"))

    class Meta:
        db_table = "marketplace_chore"  # its name before the model was renamed
        verbose_name = _("scheduled task")
        verbose_name_plural = _("scheduled tasks")

    def __str__(self) -> str:
        return self.name
