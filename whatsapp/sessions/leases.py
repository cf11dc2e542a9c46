"""Which pool works on which session: leases in the session's row, with fencing.

All times are the database's own (`Now()`), so that clocks of different machines do not matter. Every
claim raises the row's token; a write that carries an older token changes nothing and says so.
"""

import time
import uuid
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from config.shared import hints
from whatsapp.models import BUMP, Session, SessionEvent

Wanted, Status = Session.Wanted, Session.Status
SHOWING_CODES = (Status.QR, Status.PAIRING_CODE)


class LeaseLost(Exception):
    """Another pool holds the session now, or none: what we know of it is void."""


@dataclass(slots=True)
class Lease:
    """The right to work on one session until `deadline` (this process's monotonic clock)."""

    session_id: uuid.UUID
    owner: str
    token: int
    deadline: float = field(compare=False)
    seconds: float = field(default=30.0, compare=False)  # its length when it was last renewed
    host: str = field(default="", compare=False)  # the engine host that last held the session

    def holds(self, row: Session) -> bool:
        """The row, as it was read, is leased by this lease and no later one."""
        return row.lease_owner == self.owner and row.lease_token == self.token

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.deadline


def _due() -> Q:
    """Sessions on which there is something to do now.

    Those that stand still on purpose (replaced elsewhere, failed for good) wait for a restart request.
    """
    restart = Q(restart_requested_at__isnull=False) & (
        Q(restart_done_at__isnull=True) | Q(restart_done_at__lt=F("restart_requested_at"))
    )
    moving = Q(wanted=Wanted.LINKED) & (restart | ~Q(status__in=[Status.CONFLICT, Status.FAILED]) | Q(jid=""))
    time_has_come = Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=Now()) | restart
    return (moving | Q(wanted=Wanted.UNLINKED)) & time_has_come


def _free() -> Q:
    return Q(lease_owner="") | Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=Now())


def left_alone(*, seconds: float) -> QuerySet[Session]:
    """Sessions on which there has been something to do for so long, and which no living pool holds."""
    since = Now() - timedelta(seconds=seconds)
    long_free = Q(lease_expires_at__lt=since) | Q(lease_expires_at__isnull=True, updated_at__lt=since)
    long_due = Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lt=since)
    return Session.objects.filter(_due() & _free(), long_free, long_due)


def claim(
    *,
    owner: str,
    limit: int,
    linked_limit: int | None = None,
    seconds: float,
    pairing_seconds: float | None = None,
    neighbours: Collection[str] = (),
) -> list[Lease]:
    """Claim up to `limit` due sessions that no living pool holds, at most `linked_limit` of them linked ones.

    Those without a linked device come first: a person waits for each, and must not wait for the restart of
    many linked sessions.

    A session without a linked device gets a lease of `pairing_seconds`, when that is shorter: somebody waits
    at a page, and there is no device yet that two pools could connect. One that is held by one of the
    `neighbours`, which live on this machine and may be linking a device in the same key store at this
    moment, is not claimed before a full lease would have run out.
    """
    started = time.monotonic()
    short = min(seconds, pairing_seconds or seconds)
    free = _due() & _free()
    if neighbours:
        since = Now() - timedelta(seconds=seconds - short)
        free &= ~Q(lease_owner__in=neighbours, lease_expires_at__gt=since)
    if limit <= 0 or not Session.objects.filter(free).exists():
        return []
    with transaction.atomic():
        due = (
            Session.objects.select_for_update(skip_locked=True)
            .filter(free)
            .order_by(F("next_attempt_at").asc(nulls_first=True))
            .values_list("pk", "lease_token", "jid")
        )
        rows = list(due.filter(jid="")[:limit])
        left = limit - len(rows)
        rows += due.exclude(jid="")[: left if linked_limit is None else min(left, linked_limit)]
        claimed = [
            Lease(pk, owner, token + 1, started + length, length)
            for pk, token, jid in rows
            for length in [seconds if jid else short]
        ]
        for lease in claimed:
            Session.objects.filter(pk=lease.session_id, lease_token=lease.token - 1).update(
                lease_owner=owner,
                lease_token=lease.token,
                lease_expires_at=Now() + timedelta(seconds=lease.seconds),
            )
    return claimed


def renew(*, owner: str, seconds: float, sessions: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Prolong this pool's leases of `sessions` in one statement; return the ids and tokens it holds of them.

    Only what the pool works on: a lease prolonged for a session that it has let go would keep every pool
    from it. One that has run out but that nobody took is prolonged too: it was fenced all the time.
    """
    held = Session.objects.filter(lease_owner=owner, pk__in=sessions)
    held.update(lease_expires_at=Now() + timedelta(seconds=seconds))
    return dict(held.values_list("pk", "lease_token"))


def release(lease: Lease) -> None:
    """Release the session, so that any pool may claim it at once."""
    Session.objects.filter(pk=lease.session_id, lease_owner=lease.owner, lease_token=lease.token).update(
        lease_owner="", lease_expires_at=None
    )


def release_all(*, owner: str) -> int:
    """Release whatever this pool still holds, and return how much; its engine must have ended."""
    return Session.objects.filter(lease_owner=owner).update(lease_owner="", lease_expires_at=None)


def write(
    lease: Lease, *, note: str = "", detail: str = "", only_if: Q | None = None, **changes: Any
) -> bool:
    """Change the session's row under the lease, note it in the history, and hint at the change.

    `only_if` adds a condition; False is returned, with nothing changed, when it does not hold.
    Raises LeaseLost when the lease is not ours any more.
    """
    mine = Session.objects.filter(pk=lease.session_id, lease_owner=lease.owner, lease_token=lease.token)
    matching = mine.filter(only_if) if only_if is not None else mine
    # One statement commits itself: a code that an owner waits for needs no BEGIN and COMMIT.
    with transaction.atomic() if note else nullcontext():
        if not matching.update(version=BUMP, updated_at=timezone.now(), **changes):
            if only_if is not None and mine.exists():
                return False
            raise LeaseLost(f"session {lease.session_id}")
        if note:
            SessionEvent.objects.create(
                session_id=lease.session_id, kind=note, detail=detail[:500], pool=lease.owner, host=lease.host
            )
        # A code on the page starts nothing that a worker does.
        hint = hints.pages_changed if changes.get("status") in SHOWING_CODES else hints.session_changed
        hint(lease.session_id)
    return True
