"""What the rest of the product may ask of WhatsApp: verbs that write what is wanted, and a snapshot to read.

Nothing here talks to WhatsApp. The pool sees the changed row and makes it so; a crash at any point is
repaired by looking at the row again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import phonenumbers
import structlog
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from config.shared import hints
from whatsapp.models import BUMP, Pool, Session, SessionEvent
from whatsapp.sessions import policy

log = structlog.get_logger("whatsapp")

POOL_SILENCE = timedelta(seconds=15)  # a pool beats every 5 s
LEFT_ALONE_AFTER = 15.0  # seconds; a living pool with room takes a session within one or two
VIEW_LASTS = timedelta(seconds=45)  # an open page confirms its view every 10 s
MIN_BETWEEN_ATTEMPTS = timedelta(seconds=3)  # a double click, or two tabs at once
MIN_BETWEEN_CODES = timedelta(seconds=10)
MIN_BETWEEN_RETURNS = timedelta(seconds=10)  # two programs must not be made to fight by one button

STANDSTILL = (Session.Status.CONFLICT, Session.Status.FAILED)  # linked, and nothing is tried by itself


class AlreadyLinked(Exception):
    """The session has a linked device; a new code could only be for another one."""


class TooSoon(Exception):
    """The same was asked a moment ago; `retry_after` is in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"ask again in {retry_after} s")
        self.retry_after = retry_after


class InvalidPhone(ValueError):
    """The text cannot be a phone number."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One session at one moment, for showing. Codes are present only while they can be used."""

    session_id: str
    version: int
    status: str
    linked: bool
    connected: bool
    phone: str  # digits
    qr: str
    qr_expires_in: int  # whole seconds left, 0 without a code
    pairing_code: str
    pairing_code_expires_in: int
    pairing_phone: str
    pairing_error: str
    last_error: str
    trouble: str  # a word of `troubles.Trouble`, empty when the link is up
    banned_until: datetime | None
    stable: bool  # the line has stood for a minute
    proven: bool  # the linked device has been stable at least once
    stopped: bool  # a device is linked, and support staff have taken it off line


def create_session() -> Session:
    """Return a new session that nothing is wanted of yet."""
    return Session.objects.create()


def snapshot(*, session: Session) -> Snapshot:
    """Return what a page may know of the session now; reads nothing."""
    now = timezone.now()

    qr_left = seconds_left(session.qr_expires_at, now=now) if session.qr else 0
    code_left = seconds_left(session.pairing_code_expires_at, now=now) if session.pairing_code else 0
    return Snapshot(
        session_id=str(session.pk),
        version=session.version,
        status=session.status,
        linked=session.is_linked,
        connected=session.is_connected,
        phone=session.phone,
        qr=session.qr if qr_left else "",
        qr_expires_in=qr_left,
        pairing_code=session.pairing_code if code_left else "",
        pairing_code_expires_in=code_left,
        pairing_phone=session.pairing_phone,
        pairing_error=session.pairing_error,
        last_error=session.last_error,
        trouble=session.trouble,
        banned_until=session.banned_until,
        stable=is_stable(session=session),
        proven=session.is_linked and session.stable_at is not None,
        stopped=session.is_linked and session.wanted == Session.Wanted.STOPPED,
    )


def seconds_left(expires_at: datetime | None, *, now: datetime) -> int:
    """Whole seconds that a code can still be used, 0 without one."""
    return max(0, int((expires_at - now).total_seconds())) if expires_at else 0


def is_stable(*, session: Session) -> bool:
    """The line is up and has been for a minute without a break; a fresh one may still die."""
    if not session.is_connected or session.connected_at is None:
        return False
    if session.stable_at is not None and session.stable_at > session.connected_at:
        return True  # noted by the pool, whose clock is the one that counts
    return session.connected_at <= timezone.now() - timedelta(seconds=policy.STABLE_AFTER)


def is_viewed(*, session: Session) -> bool:
    """Somebody has the page of this session open."""
    return bool(session.viewed_at and session.viewed_at > timezone.now() - VIEW_LASTS)


def view(*, session: Session) -> bool:
    """Note that a page shows this session; starts a pairing attempt when no device is linked and none runs.

    Returns True when it has started one. Cheap when nothing is to do: pages call it on connecting and every
    10 s.
    """
    now = timezone.now()
    if Session.objects.filter(pk=session.pk, wanted=Session.Wanted.LINKED).update(viewed_at=now):
        return False
    asleep = Session.objects.filter(pk=session.pk, jid="").filter(~Q(wanted=Session.Wanted.LINKED))
    # What was given up as failed under a page's eyes waits for its button, or for another visit.
    given_up = Q(status=Session.Status.FAILED, viewed_at__gt=now - VIEW_LASTS)
    # A device that is just being removed must be gone before another is offered.
    woken = asleep.exclude(given_up | Q(wanted=Session.Wanted.UNLINKED)).update(
        wanted=Session.Wanted.LINKED,
        viewed_at=now,
        pairing_requested_at=now,
        pairing_phone="",
        pairing_error="",
        next_attempt_at=None,
        attempts=0,
        version=BUMP,
        updated_at=now,
    )
    if woken:
        hints.session_changed(session.pk)
        hints.wake_pools()
        return True
    Session.objects.filter(pk=session.pk).update(viewed_at=now)
    return False


def request_qr(*, session: Session) -> None:
    """Ask for a fresh QR code: a new pairing attempt, also while one runs.

    For a linked session that stands still (replaced elsewhere, failed) it asks to connect again; one that
    support staff have stopped stays so.
    Raises AlreadyLinked when a device is linked and nothing stands still; TooSoon for a repeat.
    """
    session.refresh_from_db()
    if session.is_linked:
        still = session.status in STANDSTILL
        if still and session.wanted == Session.Wanted.LINKED:
            since = session.restart_requested_at
            if since and timezone.now() - since < MIN_BETWEEN_RETURNS:
                raise TooSoon(int(MIN_BETWEEN_RETURNS.total_seconds()))
            restart(session=session, reason="asked on the page")
            return
        raise AlreadyLinked(f"session {session.pk} has a linked device")
    _request_pairing(session=session, phone="", spacing=MIN_BETWEEN_ATTEMPTS)


def request_pairing_code(*, session: Session, phone: str, region: str = "RU") -> str:
    """Ask for a pairing code for `phone`, typed in any human form; return its digits.

    Raises InvalidPhone, AlreadyLinked, TooSoon.
    """
    digits = normalise_phone(phone, region=region)
    session.refresh_from_db()
    if session.is_linked:
        raise AlreadyLinked(f"session {session.pk} has a linked device")
    _request_pairing(session=session, phone=digits, spacing=MIN_BETWEEN_CODES)
    return digits


def _request_pairing(*, session: Session, phone: str, spacing: timedelta) -> None:
    now = timezone.now()
    if session.wanted == Session.Wanted.UNLINKED:
        raise TooSoon(5)
    if session.status == Session.Status.BANNED and session.banned_until and session.banned_until > now:
        raise TooSoon(int((session.banned_until - now).total_seconds()) + 1)
    free = Q(pairing_requested_at__isnull=True) | Q(pairing_requested_at__lt=now - spacing)
    if phone:  # the page's own first QR attempt does not count against a code
        free |= Q(pairing_phone="")
    asked = Session.objects.filter(free, pk=session.pk, jid="").update(
        wanted=Session.Wanted.LINKED,
        pairing_requested_at=now,
        pairing_phone=phone,
        pairing_error="",
        viewed_at=now,
        next_attempt_at=None,
        attempts=0,
        version=BUMP,
        updated_at=now,
    )
    if not asked:
        raise TooSoon(int(spacing.total_seconds()))
    hints.session_changed(session.pk)
    hints.wake_pools()


def normalise_phone(phone: str, *, region: str = "RU") -> str:
    """Return the digits of an international number; national forms are read as of `region`.

    Raises InvalidPhone for a text that cannot be a number there.
    """
    text = phone.strip()
    try:
        number = phonenumbers.parse(text, region)
        if not phonenumbers.is_valid_number(number) and not text.startswith("+"):
            number = phonenumbers.parse(f"+{text}", None)  # digits with the country code but no plus
    except phonenumbers.NumberParseException as error:
        raise InvalidPhone("not a phone number") from error
    if not phonenumbers.is_possible_number(number):
        raise InvalidPhone("not a possible phone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).lstrip("+")


def unlink(*, session: Session, reason: str) -> None:
    """Remove the linked device at WhatsApp and destroy the credentials; the pool does it, and it is final."""
    now = timezone.now()
    Session.objects.filter(pk=session.pk).update(
        wanted=Session.Wanted.UNLINKED,
        next_attempt_at=None,
        attempts=0,
        qr="",
        qr_expires_at=None,
        pairing_code="",
        pairing_code_expires_at=None,
        version=BUMP,
        updated_at=now,
    )
    _note(session=session, kind="unlink_requested", detail=reason)


def stop(*, session: Session, reason: str) -> None:
    """Take the session off line and keep it so; the device stays linked and the credentials stay."""
    Session.objects.filter(pk=session.pk).exclude(wanted=Session.Wanted.UNLINKED).update(
        wanted=Session.Wanted.STOPPED, version=BUMP, updated_at=timezone.now()
    )
    _note(session=session, kind="stop_requested", detail=reason)


def stop_linking(*, session: Session, reason: str) -> None:
    """As `stop`, and withdraw the codes of a pairing under way: a phone that scans one now is not linked."""
    Session.objects.filter(pk=session.pk).update(
        qr="", qr_expires_at=None, pairing_code="", pairing_code_expires_at=None
    )
    stop(session=session, reason=reason)


def resume(*, session: Session, reason: str) -> None:
    """Undo `stop`: bring a linked session back on line, a banned one when its time is over.

    Does nothing for an unlinked one.
    """
    now = timezone.now()
    resumed = (
        Session.objects.filter(pk=session.pk, wanted=Session.Wanted.STOPPED)
        .exclude(jid="")
        .update(
            wanted=Session.Wanted.LINKED,
            restart_requested_at=Case(
                When(status__in=STANDSTILL, then=Value(now)), default=F("restart_requested_at")
            ),
            next_attempt_at=F("banned_until"),
            attempts=0,
            version=BUMP,
            updated_at=now,
        )
    )
    if resumed:
        _note(session=session, kind="resume_requested", detail=reason)


def restart(*, session: Session, reason: str) -> None:
    """Drop the line and connect again at once, without the waiting time of earlier failures."""
    now = timezone.now()
    Session.objects.filter(pk=session.pk).exclude(wanted=Session.Wanted.UNLINKED).update(
        wanted=Session.Wanted.LINKED,
        restart_requested_at=now,
        next_attempt_at=None,
        attempts=0,
        banned_until=None,
        version=BUMP,
        updated_at=now,
    )
    _note(session=session, kind="restart_requested", detail=reason)


def _note(*, session: Session, kind: str, detail: str) -> None:
    SessionEvent.objects.create(session=session, kind=kind, detail=detail[:500])
    log.info(kind, session=str(session.pk), reason=detail)
    hints.session_changed(session.pk)
    hints.wake_pools()


def pool_is_running() -> bool:
    """A pool process has been alive within the last seconds."""
    return Pool.objects.filter(heartbeat_at__gt=timezone.now() - POOL_SILENCE).exists()


def mark_changed(*, session: Session) -> None:
    """Something a page shows beside the session changed (the salon's activation): let pages read again."""
    Session.objects.filter(pk=session.pk).update(version=F("version") + 1)
    hints.session_changed(session.pk)
