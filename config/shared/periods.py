"""The stretches of time that the overview shows, cut into equal steps of UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models.functions import Trunc
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from config.shared.support import Text


@dataclass(frozen=True, slots=True)
class Period:
    """So many steps up to now, the running one included; `unit` is a step's name in SQL."""

    name: str
    label: Text
    unit: str
    step: timedelta
    steps: int

    def starts(self) -> list[datetime]:
        """When each step begins, the oldest first."""
        seconds = self.step.total_seconds()
        last = timezone.now().timestamp() // seconds * seconds
        return [datetime.fromtimestamp(last - seconds * ago, UTC) for ago in reversed(range(self.steps))]

    def truncated(self, field: str) -> Trunc:
        """The expression for the step that a time lies in."""
        return Trunc(field, self.unit, tzinfo=UTC)

    def bounds(self, field: str, start: datetime) -> dict[str, str]:
        """The query of an admin list for the rows of one step."""
        return {f"{field}__gte": start.isoformat(" "), f"{field}__lt": (start + self.step).isoformat(" ")}

    def words(self, start: datetime) -> str:
        """A step's name for people: `14:00`, or `25 November`."""
        return f"{start:%H:%M}" if self.unit == "hour" else date_format(start, "j E")


DAY = Period("24h", _("last 24 hours"), "hour", timedelta(hours=1), 24)
MONTH = Period("30d", _("last 30 days"), "day", timedelta(days=1), 30)
PERIODS = (DAY, MONTH)


def period_named(name: str) -> Period:
    """The period of this name; the first one for an unknown name."""
    return next((period for period in PERIODS if period.name == name), PERIODS[0])
