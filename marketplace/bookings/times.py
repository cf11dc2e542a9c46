"""Reminder times and quiet hours as the cabinet and support type them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from marketplace.bookings import quiet_hours
from marketplace.models.bookings import LONGEST_LEAD, MOST_REMINDERS, BookingSettings

FIELDS = ("hours", "quiet_from", "quiet_until")
LONGEST_FIELD = 100  # characters


@dataclass(frozen=True, slots=True)
class Times:
    """Hours before the visit, the earliest reminder first; the quiet hours by the salon's clock."""

    hours: list[int]
    quiet_from: time
    quiet_until: time

    def columns(self) -> dict[str, Any]:
        """As columns of BookingSettings."""
        return {
            "reminder_hours": self.hours[0],
            "more_reminder_hours": self.hours[1:],
            "quiet_from": self.quiet_from,
            "quiet_until": self.quiet_until,
        }


def read(posted: Mapping[str, Any]) -> Times:
    """The posted fields `hours` (such as `24, 2`), `quiet_from` and `quiet_until` (`21:00`).

    Raises ValidationError with sentences.
    """
    return Times(_hours(posted.get("hours", "")), _time(posted, "quiet_from"), _time(posted, "quiet_until"))


def shown(settings: BookingSettings) -> dict[str, str]:
    """The fields as they are kept."""
    quiet = quiet_hours.quiet_hours_of(settings)
    hours = ", ".join(map(str, settings.all_reminder_hours))
    return {"hours": hours, "quiet_from": f"{quiet.begins:%H:%M}", "quiet_until": f"{quiet.ends:%H:%M}"}


def _hours(text: str) -> list[int]:
    words = text[:LONGEST_FIELD].replace(",", " ").replace(";", " ").split()
    numbers = {int(word) for word in words if word.isascii() and word.isdigit()}
    if len(words) == 0 or not all(word.isascii() and word.isdigit() for word in words):
        raise ValidationError(_("Write the hours before the visit as numbers, such as 24, 2."))
    if len(numbers) > MOST_REMINDERS or min(numbers) < 1 or max(numbers) > LONGEST_LEAD:
        raise ValidationError(
            _("At most %(most)d reminders, each 1 to %(longest)d hours before the visit.")
            % {"most": MOST_REMINDERS, "longest": LONGEST_LEAD}
        )
    return sorted(numbers, reverse=True)


def _time(posted: Mapping[str, Any], name: str) -> time:
    try:
        return time.fromisoformat(posted.get(name, "")[:8]).replace(second=0, microsecond=0, tzinfo=None)
    except ValueError as error:
        raise ValidationError(_("Write the quiet hours as times, such as 21:00.")) from error
