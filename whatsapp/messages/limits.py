"""Whether and how fast a session sends: the policy's numbers, and what support staff set for one session."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from config.shared import hints
from whatsapp.models import SendingLimits, Session, SessionEvent
from whatsapp.sessions import policy


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for one session now. `gap` is in seconds, `cap` in messages a local day (0: any number)."""

    gap: float
    jitter: float
    burst: int
    cap: int
    zone: ZoneInfo
    adds_from: time
    adds_until: time

    @property
    def paced(self) -> bool:
        return self.gap > 0

    def day_began(self, now: datetime) -> datetime:
        """The last midnight by the salon's clock."""
        return now.astimezone(self.zone).replace(hour=0, minute=0, second=0, microsecond=0)

    def adds_wait_until(self, now: datetime) -> datetime | None:
        """When advertising may go out next; None when it may now."""
        return opens_at(now, zone=self.zone, opens=self.adds_from, closes=self.adds_until)


def opens_at(now: datetime, *, zone: ZoneInfo, opens: time, closes: time) -> datetime | None:
    """When a daily window by this zone's clock opens next; None while it is open.

    It may lie over midnight (20:00 to 2:00); one of no length is the whole day.
    """
    local = now.astimezone(zone)
    begun, ended = opens <= local.time(), closes <= local.time()
    is_open = begun and not ended if opens < closes else begun or not ended
    if is_open:
        return None
    day = local.date() + timedelta(days=1 if begun else 0)
    return datetime.combine(day, opens, tzinfo=zone)


def limits_of(*, session: Session, row: SendingLimits | None, now: datetime) -> Limits:
    """Return what holds for the session: its own settings before the policy for a number of its age."""
    row = row or SendingLimits()
    pace = policy.pace_of(now - session.paired_at if session.paired_at else None)
    paced = settings.SENDING_PACED and row.paced
    gap = pace.gap if row.gap_seconds is None else row.gap_seconds
    cap = pace.daily_cap if row.daily_cap is None else row.daily_cap
    return Limits(
        gap=gap if paced else 0.0,
        jitter=policy.JITTER if row.jitter is None else row.jitter,
        burst=row.burst or pace.burst,
        cap=cap if paced else 0,
        zone=zone_of(row.timezone_name),
        adds_from=row.adds_from or policy.ADDS_FROM,
        adds_until=row.adds_until or policy.ADDS_UNTIL,
    )


def zone_of(name: str) -> ZoneInfo:
    """The zone of this name of the IANA database; Moscow's for an empty or unknown one."""
    try:
        return ZoneInfo(name or policy.TIMEZONE)
    except (KeyError, ValueError):  # a name that this machine's database does not have
        return ZoneInfo(policy.TIMEZONE)


def pause(*, session: Session, reason: str) -> None:
    """Hold the session's messages back; its line stays up and what clients write is still received."""
    _set_paused(session=session, paused=True, reason=reason)


def unpause(*, session: Session, reason: str) -> None:
    """Undo `pause`."""
    _set_paused(session=session, paused=False, reason=reason)


def _set_paused(*, session: Session, paused: bool, reason: str) -> None:
    changed = Session.objects.filter(pk=session.pk, sending_paused=not paused).update(
        sending_paused=paused, version=F("version") + 1, updated_at=timezone.now()
    )
    if changed:
        kind = "sending_paused" if paused else "sending_resumed"
        SessionEvent.objects.create(session=session, kind=kind, detail=reason[:500])
        hints.session_changed(session.pk)
        hints.wake_pools()


def set_timezone(*, session: Session, timezone_name: str) -> None:
    """Say by which clock advertising keeps to the daytime; the name is of the IANA database.

    An unknown name counts as Moscow's.
    """
    SendingLimits.objects.update_or_create(session=session, defaults={"timezone_name": timezone_name[:64]})


def limits_were_set(*, session: Session, by: str, changed: str) -> None:
    """Write to the session's history who changed its limits to what, and let its pool look at them."""
    SessionEvent.objects.create(session=session, kind="limits_changed", detail=f"{by}: {changed}"[:500])
    hints.wake_pools()
