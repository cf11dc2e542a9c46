"""The kinds of messages about a booking."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Kind(TextChoices):
    CREATED = "created", _("booking made")
    MOVED = "moved", _("booking changed")
    CANCELLED = "cancelled", _("booking cancelled")
    REMINDER = "reminder", _("visit reminder")


class Language(TextChoices):
    RUSSIAN = "ru", "Русский"
    ENGLISH = "en", "English"
