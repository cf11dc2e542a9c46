"""Times by somebody's own clock, as people write them."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.formats import date_format


def clock_time(at: datetime, zone: ZoneInfo) -> str:
    """`5 December 2026 15:04 (UTC+3)`, in the active language, by the clock of `zone`."""
    there = at.astimezone(zone)
    offset = there.isoformat()[-6:]  # +03:00
    minutes = "" if offset.endswith(":00") else offset[3:]
    return f"{date_format(there, 'j E Y H:i')} (UTC{offset[0]}{int(offset[1:3])}{minutes})"
