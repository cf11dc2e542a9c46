"""Session pool processes and their heartbeats."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Pool(models.Model):
    """A session pool process and its heartbeat."""

    name = models.CharField(max_length=64, primary_key=True, help_text=_("host:pid:random, the lease owner"))
    started_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField()
    capacity = models.PositiveIntegerField()
    sessions = models.PositiveIntegerField(default=0)
    hosts = models.PositiveIntegerField(default=0)
    rss_bytes = models.PositiveBigIntegerField(default=0, help_text=_("memory of the engine hosts"))
    own_rss_bytes = models.PositiveBigIntegerField(default=0, help_text=_("memory of the pool's own process"))
    engine_hosts = models.JSONField(default=list, blank=True, help_text=_("the hosts one by one"))

    class Meta:
        verbose_name = _("session pool")
        verbose_name_plural = _("session pools")
        indexes = [models.Index(fields=["heartbeat_at"], name="pool_heartbeat")]

    def __str__(self) -> str:
        return self.name
