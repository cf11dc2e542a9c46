"""What YClients was told of a salon's WhatsApp; the row is the queue of the calls that tell it."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Channel(models.Model):
    """Whether YClients believes that a salon's WhatsApp can be used. No row: as at the activation, it can."""

    class State(models.TextChoices):
        SETTLED = "settled", _("YClients knows it")
        DUE = "due", _("to be told")
        REFUSED = "refused", _("YClients refused it")

    company = models.OneToOneField("marketplace.Company", on_delete=models.CASCADE, related_name="channel")
    # None while nobody knows: a call was begun, and no answer to it was seen.
    told = models.BooleanField(null=True, default=True, help_text=_("YClients was told that it is available"))
    told_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.SETTLED)
    next_at = models.DateTimeField(null=True, blank=True, help_text=_("no call before"))
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("channel at YClients")
        verbose_name_plural = _("channels at YClients")
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["settled", "due", "refused"]), name="channel_state_known"
            ),
        ]
        indexes = [
            # The few salons that YClients may not believe to be available.
            models.Index(
                fields=["next_at"], condition=~Q(state="settled", told=True), name="channel_not_available"
            ),
        ]

    def __str__(self) -> str:
        return str(self.company_id)
