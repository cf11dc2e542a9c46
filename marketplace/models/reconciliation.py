"""How far the comparison with YClients has come, and what it found that nobody may mend by guess."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class CompanyCheck(models.Model):
    """When YClients is asked next about one salon; the row is the queue."""

    company = models.OneToOneField("marketplace.Company", on_delete=models.CASCADE, related_name="check_row")
    next_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    said = models.CharField(max_length=16, blank=True, help_text=_("what YClients said last"))
    missing_since = models.DateTimeField(
        null=True, blank=True, help_text=_("YClients has said since then that we are not installed")
    )
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("comparison with YClients")
        verbose_name_plural = _("comparisons with YClients")
        indexes = [
            models.Index(fields=["next_at"], name="company_check_queue"),
            models.Index(
                fields=["missing_since"],
                condition=Q(missing_since__isnull=False),
                name="company_check_missing",
            ),
        ]

    def __str__(self) -> str:
        return str(self.company_id)


class Discrepancy(models.Model):
    """YClients and we say different things of a salon, and what is right is for a person to find out."""

    class Kind(models.TextChoices):
        UNKNOWN_HERE = "unknown_here", _("installed in YClients, unknown here")
        NOT_ACTIVATED = "not_activated", _("active in YClients, not activated by us")
        PENDING_THERE = "pending_there", _("active here, YClients waits for an activation")
        MISSING_THERE = "missing_there", _("active here, not installed in YClients")
        UNINSTALL_DENIED = "uninstall_denied", _("an uninstall was sent that YClients denies")

    salon_id = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    company = models.ForeignKey(
        "marketplace.Company", null=True, blank=True, on_delete=models.SET_NULL, related_name="discrepancies"
    )
    title = models.CharField(max_length=255, blank=True, help_text=_("the salon's name as YClients says it"))
    here = models.CharField(max_length=20, blank=True)
    there = models.CharField(max_length=20, blank=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("discrepancy with YClients")
        verbose_name_plural = _("discrepancies with YClients")
        ordering = ["-last_seen_at"]
        constraints = [
            models.UniqueConstraint(fields=["salon_id", "kind"], name="discrepancy_once_per_salon"),
            models.CheckConstraint(
                condition=Q(
                    kind__in=[
                        "unknown_here",
                        "not_activated",
                        "pending_there",
                        "missing_there",
                        "uninstall_denied",
                    ]
                ),
                name="discrepancy_kind_known",
            ),
        ]
        indexes = [models.Index(fields=["resolved_at", "kind"], name="discrepancy_open")]

    def __str__(self) -> str:
        return f"{self.kind} {self.salon_id}"


class Listing(models.Model):
    """One pass through YClients' list of the salons that use us: where it stands, when the next begins."""

    name = models.CharField(max_length=16, primary_key=True)
    page = models.PositiveIntegerField(default=1)
    listed = models.PositiveIntegerField(default=0, help_text=_("salons seen in this pass"))
    began_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("list of salons at YClients")
        verbose_name_plural = _("lists of salons at YClients")

    def __str__(self) -> str:
        return self.name
