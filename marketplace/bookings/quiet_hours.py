"""When nobody is reminded: the salon's own quiet hours, or 21:00 to 9:00, by the salon's clock. Pure."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from marketplace.models.bookings import BookingSettings
from whatsapp.messages import limits

# A reminder that is due as they begin may still leave so much later, behind others.
GRACE = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A part of every day, as a rule over midnight; none when it begins and ends at the same time."""

    begins: time
    ends: time

    @property
    def length(self) -> timedelta:
        return (_since_midnight(self.ends) - _since_midnight(self.begins)) % DAY

    def end_after(self, moment: datetime, *, clock: ZoneInfo) -> datetime | None:
        """When the quiet hours that `moment` lies in end; None outside of them."""
        return limits.opens_at(moment, zone=clock, opens=self.ends, closes=self.begins)

    def begin_after(self, moment: datetime, *, clock: ZoneInfo) -> datetime:
        """When the next ones begin; days ahead where there are none."""
        if not self.length:
            return moment + 7 * DAY
        local = moment.astimezone(clock)
        tonight = datetime.combine(local.date(), self.begins, clock)
        return tonight if tonight > moment else datetime.combine(local.date() + DAY, self.begins, clock)

    def begin_before(self, moment: datetime, *, clock: ZoneInfo) -> datetime:
        """When the last ones began."""
        local = moment.astimezone(clock)
        tonight = datetime.combine(local.date(), self.begins, clock)
        return tonight if tonight <= moment else datetime.combine(local.date() - DAY, self.begins, clock)

    def after_grace(self) -> "QuietHours":
        """The part in which not even a late reminder leaves; none when they are shorter than the grace."""
        if self.length <= GRACE:
            return QuietHours(self.ends, self.ends)
        later = datetime.combine(datetime.min, self.begins) + GRACE
        return QuietHours(later.time(), self.ends)


DEFAULT = QuietHours(time(21), time(9))


def quiet_hours_of(settings: BookingSettings) -> QuietHours:
    """The salon's own, else the default ones."""
    if settings.quiet_from is None or settings.quiet_until is None:
        return DEFAULT
    return QuietHours(settings.quiet_from, settings.quiet_until)


def _since_midnight(moment: time) -> timedelta:
    return timedelta(hours=moment.hour, minutes=moment.minute)
