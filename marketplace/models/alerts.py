"""E-mail to a salon when its WhatsApp is disconnected; the row is the queue of what is to be sent."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class OutageAlert(models.Model):
    """The address that a salon gave for outages, and what was sent to it."""

    company = models.OneToOneField(
        "marketplace.Company", on_delete=models.CASCADE, related_name="outage_alert"
    )
    email = models.CharField(max_length=254)
    language = models.CharField(max_length=8, help_text=_("of the e-mails"))
    # Nothing but the request to confirm goes to an address whose owner has not agreed.
    asked_at = models.DateTimeField(null=True, blank=True, help_text=_("confirmation requested"))
    confirmed_at = models.DateTimeField(null=True, blank=True)
    outage_sent_at = models.DateTimeField(
        null=True, blank=True, help_text=_("the outage under way was announced; empty while there is none")
    )
    next_at = models.DateTimeField(null=True, blank=True, help_text=_("no e-mail before"))
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("e-mail for outages")
        verbose_name_plural = _("e-mails for outages")

    def __str__(self) -> str:
        return str(self.company_id)
