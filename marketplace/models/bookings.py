"""Bookings: what a salon wants its clients to be told, in which words, and what is known of each booking."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from marketplace.models import rendering
from marketplace.models.booking_kinds import Kind, Language

LONGEST_LEAD = 168  # hours; a week
MOST_REMINDERS = 5  # of one visit


class BookingSettings(models.Model):
    """Which messages about bookings one salon sends; without a row none, since YClients has its own."""

    company = models.OneToOneField(
        "marketplace.Company", on_delete=models.CASCADE, related_name="booking_settings"
    )
    created_on = models.BooleanField(_("tell of a new booking"), default=False)
    moved_on = models.BooleanField(_("tell of a change of time, staff or services"), default=False)
    cancelled_on = models.BooleanField(_("tell of a cancellation"), default=False)
    reminder_on = models.BooleanField(_("remind of the visit"), default=False)
    reminder_hours = models.PositiveSmallIntegerField(
        _("hours before the visit"),
        default=24,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_LEAD)],
    )
    more_reminder_hours = models.JSONField(
        default=list, null=True, blank=True, help_text=_("hours before the visit of its further reminders")
    )
    # Nobody is reminded in these hours, by the salon's clock; without them those of `quiet_hours` hold.
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_until = models.TimeField(_("quiet until"), null=True, blank=True)
    language = models.CharField(
        _("language of the messages"), max_length=2, choices=Language.choices, default=Language.RUSSIAN
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = verbose_name_plural = _("booking messages")
        constraints = [
            models.CheckConstraint(
                condition=Q(reminder_hours__gte=1, reminder_hours__lte=LONGEST_LEAD),
                name="booking_reminder_hours_range",
            ),
            models.CheckConstraint(condition=Q(language__in=["ru", "en"]), name="booking_language_known"),
        ]

    def __str__(self) -> str:
        return str(self.company_id)

    def sends(self, kind: str) -> bool:
        """Whether messages of this kind are switched on."""
        return bool(getattr(self, f"{kind}_on"))

    @property
    def all_reminder_hours(self) -> list[int]:
        """So many hours before a visit its client is reminded, the earliest reminder first."""
        return sorted({self.reminder_hours, *(self.more_reminder_hours or ())}, reverse=True)


def check_template(text: str) -> None:
    """Raises ValidationError for a text that cannot be filled in; says why in words."""
    try:
        rendering.check(text)
    except rendering.BadTemplate as error:
        raise ValidationError(error.message, params=error.params, code="template") from error


class MessageTemplate(models.Model):
    """A salon's own words for one kind of message; without a row the default of the language counts."""

    company = models.ForeignKey(
        "marketplace.Company", on_delete=models.CASCADE, related_name="message_templates"
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    # Empty: the default again, with the words before it to go back to.
    text = models.TextField(max_length=rendering.LONGEST_TEMPLATE, blank=True, validators=[check_template])
    previous_text = models.TextField(
        max_length=rendering.LONGEST_TEMPLATE, blank=True, default="", db_default=""
    )

    # Goes with the words, the default ones too.
    media = models.ForeignKey(
        "whatsapp.MediaFile", on_delete=models.SET_NULL, null=True, blank=True, related_name="templates"
    )

    class Meta:
        verbose_name = _("message template")
        verbose_name_plural = _("message templates")
        constraints = [
            models.UniqueConstraint(fields=["company", "kind"], name="template_once_per_kind"),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="template_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.company_id} {self.kind}"


class RecordState(models.Model):
    """What is known of one booking, and what its client has been told; the row is the reminder's queue.

    `seen`, `told` and `said` are written and read by `bookings.decisions` alone. A client's name and phone
    are in them too: they go with the row.
    """

    company = models.ForeignKey("marketplace.Company", on_delete=models.CASCADE, related_name="records")
    record_id = models.PositiveBigIntegerField(help_text=_("the booking's number in YClients"))
    seen = models.JSONField(default=dict, help_text=_("each field as last changed, with the time of it"))
    told = models.JSONField(null=True, blank=True, help_text=_("what each phone knows of the booking"))
    assumed_phone = models.CharField(max_length=20, blank=True, help_text=_("who is only taken to know it"))
    said = models.JSONField(default=list, help_text=_("messages whose end is not settled yet"))
    messages_made = models.PositiveIntegerField(default=0)

    # Copies out of `seen`, for searching.
    starts_at = models.DateTimeField(null=True, blank=True)
    deleted = models.BooleanField(default=False)
    phone = models.CharField(max_length=20, blank=True, help_text=_("digits only"))

    reminder_at = models.DateTimeField(null=True, blank=True, help_text=_("when the reminder is due"))
    reminded_for = models.DateTimeField(null=True, blank=True, help_text=_("start of the visit reminded of"))
    reminders_given = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text=_("reminders of that visit")
    )
    reminder_message = models.PositiveBigIntegerField(null=True, blank=True)
    reminder_attempts = models.PositiveSmallIntegerField(default=0)
    reminder_error = models.TextField(blank=True)

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("booking")
        verbose_name_plural = _("bookings")
        constraints = [
            models.UniqueConstraint(fields=["company", "record_id"], name="record_once_per_salon"),
        ]
        indexes = [
            models.Index(
                fields=["reminder_at"], condition=Q(reminder_at__isnull=False), name="record_reminders"
            ),
            # What is changed when the salon's settings change, and what is forgotten after the visit.
            models.Index(fields=["company", "starts_at"], name="record_by_start"),
            models.Index(fields=["updated_at"], name="record_by_age"),
            models.Index(fields=["phone"], condition=~Q(phone=""), name="record_by_phone"),
        ]

    def __str__(self) -> str:
        return str(self.record_id)

    def given_for(self, starts_at: datetime) -> int:
        """How many reminders of the visit at this time were given."""
        # Rows of before there were several say only that there was one.
        return max(1, self.reminders_given) if self.reminded_for == starts_at else 0
