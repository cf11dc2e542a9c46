"""Salons of a link that a worker still has to check with YClients; the row is the queue."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class RegistrationCheck(models.Model):
    """One salon of a link, until YClients has said that it is installing us and what it is called.

    A request makes one call to YClients at most, so of a link with many salons all but one are checked here.
    A row that is `refused` stays for the page until the next visit; one that is done is deleted.
    """

    class State(models.TextChoices):
        CHECKING = "checking", _("being checked")
        DETAILS = "details", _("details are being read")
        REFUSED = "refused", _("not being installed")

    company = models.ForeignKey("marketplace.Company", on_delete=models.CASCADE, related_name="checks")
    session = models.ForeignKey(
        "whatsapp.Session", on_delete=models.CASCADE, related_name="+", help_text=_("which the salon joins")
    )
    holder = models.CharField(max_length=64, blank=True, editable=False)
    user = models.JSONField(default=dict, blank=True, help_text=_("who came, as the link's signature says"))
    state = models.CharField(max_length=16, choices=State.choices, default=State.CHECKING)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("registration check")
        verbose_name_plural = _("registration checks")
        constraints = [
            models.UniqueConstraint(fields=["company", "holder"], name="registration_check_once_per_user"),
            models.CheckConstraint(
                condition=Q(state__in=["checking", "details", "refused"]),
                name="registration_check_state_known",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(state__in=["checking", "details"]),
                name="registration_check_queue",
            ),
            models.Index(fields=["session"], name="registration_check_of_page"),
        ]

    def __str__(self) -> str:
        return f"{self.company_id} {self.state}"
