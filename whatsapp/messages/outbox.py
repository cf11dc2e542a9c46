"""What a pool writes into the rows of messages that go out.

A message is claimed under the session's lease, and committed as `sending`, before WhatsApp hears of it: a
crash leaves at most that one row in doubt. What WhatsApp answers is written down whoever holds the lease by
then; it names the attempt, so that an old answer is never taken for a newer attempt's.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from whatsapp import metrics
from whatsapp.engine.events import Sent
from whatsapp.messages import numbers, status_changes
from whatsapp.messages.limits import Limits, limits_of
from whatsapp.messages.message_queue import finish_waiting
from whatsapp.messages.status_changes import callback_due
from whatsapp.models import Message, Session
from whatsapp.sessions.leases import Lease, LeaseLost
from whatsapp.sessions.policy import SEND_FAILURES_MOST

Status = Message.Status
ACKNOWLEDGED = (Status.SENT, Status.DELIVERED, Status.READ)
UNKNOWN_OUTCOME = "unknown_outcome"
FILE_REASONS = ("upload_failed", "file_unavailable")  # of the message's file, not of WhatsApp's refusal


@dataclass(frozen=True, slots=True)
class RateUsage:
    """A session's limits and what it has used of them: messages handed over since midnight by the salon's
    clock, and within the time that a full burst takes to be saved up."""

    limits: Limits
    sent_today: int
    sent_lately: int


@dataclass(frozen=True, slots=True)
class HeldSession:
    """A session of a pool: the version of its row, and whether it may send now and has service messages or
    advertising due."""

    session_id: uuid.UUID
    version: int
    service_due: bool
    adds_due: bool


def read_held(*, owner: str) -> list[HeldSession]:
    """What the pool must know again and again of all its sessions, in one query whatever their number."""
    due = Message.objects.filter(session=OuterRef("pk"), status=Status.QUEUED, not_before__lte=timezone.now())
    sends = Q(status=Session.Status.CONNECTED, sending_paused=False)
    rows = Session.objects.filter(lease_owner=owner).annotate(
        service=Case(When(sends, then=Exists(due.filter(priority=0))), default=Value(False)),
        adds=Case(When(sends, then=Exists(due.filter(priority__gt=0))), default=Value(False)),
    )
    return [HeldSession(*row) for row in rows.values_list("pk", "version", "service", "adds")]


def _locked(lease: Lease) -> Session:
    """The session's row, locked while it is ours. Not against inserts that refer to it: a request with a
    thousand messages must not hold up the one that is to be sent."""
    try:
        return (
            Session.objects.select_for_update(no_key=True, of=("self",))
            .select_related("limits")
            .defer("qr", "pairing_code")
            .get(pk=lease.session_id, lease_owner=lease.owner, lease_token=lease.token)
        )
    except Session.DoesNotExist as error:
        raise LeaseLost(f"session {lease.session_id}") from error


def _limits(session: Session, now: datetime) -> Limits:
    return limits_of(session=session, row=getattr(session, "limits", None), now=now)


def settle_previous(lease: Lease) -> int:
    """Settle what an earlier holder of the lease left in doubt; return how many messages.

    Raises LeaseLost when there are any and the lease is not ours any more.
    """
    left = Message.objects.filter(session_id=lease.session_id, status=Status.SENDING)
    # As a rule there are none, and a restart asks it for every session: without a lock, for nobody but the
    # lease's holder adds one.
    if not left.exists():
        return 0
    with transaction.atomic():
        _locked(lease)
        return settle_unknown(left, cause="the pool that sent it is gone")


def rate_usage(lease: Lease) -> RateUsage:
    """Read the session's limits and count what it has sent."""
    now = timezone.now()
    session = Session.objects.select_related("limits").defer("qr", "pairing_code").get(pk=lease.session_id)
    limits = _limits(session, now)
    sent = Message.objects.filter(session_id=lease.session_id, sending_at__gte=limits.day_began(now))
    lately = Message.objects.filter(
        session_id=lease.session_id, sending_at__gte=now - timedelta(seconds=limits.gap * limits.burst)
    )
    return RateUsage(limits, sent.count() if limits.cap else 0, lately.count() if limits.paced else 0)


def fail_without_whatsapp(*, session_id: uuid.UUID) -> int:
    """End what waits for numbers that are known to have no WhatsApp."""
    waiting = Message.objects.filter(numbers.without_whatsapp(), session_id=session_id)
    return finish_waiting(waiting, error_code="not_on_whatsapp", error=numbers.NOT_ON_WHATSAPP)


# --- answers ----------------------------------------------------------------------------------------


def record_sent(acknowledged: Sequence[Sent]) -> int:
    """Note that WhatsApp's server has acknowledged these attempts; return of how many that was news.

    A reference is `<message>.<attempt>`. The acknowledgement outweighs what was made of the attempt before
    it came: taken for unknown, queued again, too late.
    """
    now = timezone.now()
    names = {_attempt(event.ref): event.wa_message_id for event in acknowledged}
    attempted = reduce(or_, (Q(pk=pk, attempts=attempt) for pk, attempt in names))
    name = Case(*(When(pk=pk, attempts=attempt, then=Value(named)) for (pk, attempt), named in names.items()))
    changed = (
        Message.objects.filter(attempted)
        .exclude(status__in=ACKNOWLEDGED)
        .update(
            status=Status.SENT,
            wa_message_id=name,
            sent_at=now,
            finished_at=None,
            error_code="",
            error="",
            **callback_due(now),
        )
    )
    _count(Status.SENT, changed)
    return changed


def _attempt(ref: str) -> tuple[int, int]:
    pk, _, attempt = ref.partition(".")
    return int(pk), int(attempt)


def record_failed(*, pk: int, attempt: int, error: str, permanent: bool) -> str:
    """Note that this attempt did not go out, or that nobody knows; return the message's status then.

    `error` begins with the engine's machine word and a colon. A refusal is tried again a few times; a line
    that was down does not count.
    """
    reason = error.partition(":")[0]
    attempted = Message.objects.filter(pk=pk, attempts=attempt, status=Status.SENDING)
    if reason == "timeout":
        settle_unknown(attempted, cause=error)
    elif permanent:
        _fail(attempted, reason, error)
    elif reason == "not_connected":
        attempted.update(status=Status.QUEUED, error_code=reason, error=error[:300])
    else:
        again = attempted.filter(failures__lt=SEND_FAILURES_MOST - 1)
        if not again.update(
            status=Status.QUEUED, failures=F("failures") + 1, error_code=_code(reason), error=error[:300]
        ):
            _fail(attempted, reason, error)
    return Message.objects.filter(pk=pk).values_list("status", flat=True).first() or ""


def _code(reason: str) -> str:
    return reason if reason in FILE_REASONS else "refused"


def _fail(attempted: QuerySet[Message], reason: str, error: str) -> None:
    now = timezone.now()
    changed = attempted.update(
        status=Status.FAILED,
        failures=F("failures") + 1,
        error_code=_code(reason),
        error=error[:300],
        finished_at=now,
        **callback_due(now),
    )
    _count(Status.FAILED, changed)


def settle_unknown(in_doubt: QuerySet[Message], *, cause: str) -> int:
    """What was being sent, and nobody can say whether it went out: once more, or leave it at that, as
    SENDING_UNKNOWN has it. Returns how many messages it was."""
    now = timezone.now()
    once_more = Q(unknowns=0) if settings.SENDING_UNKNOWN == "retry" else Q(pk__isnull=True)
    in_doubt = in_doubt.filter(status=Status.SENDING)
    due = callback_due(now)
    ended = ~once_more
    changed = in_doubt.update(
        status=Case(When(once_more, then=Value(Status.QUEUED.value)), default=Value(Status.UNKNOWN.value)),
        finished_at=Case(When(ended, then=Value(now)), default=Value(None)),
        unknowns=F("unknowns") + 1,
        error_code=UNKNOWN_OUTCOME,
        error=cause[:300],
        callback_state=Case(When(ended, then=due["callback_state"]), default=F("callback_state")),
        callback_next_at=Case(When(ended, then=due["callback_next_at"]), default=F("callback_next_at")),
    )
    _count(Status.UNKNOWN, changed)
    return changed


def _count(outcome: str, changed: int) -> None:
    if changed:
        metrics.MESSAGES.labels(outcome=outcome).inc(changed)
        status_changes.wake_workers_soon()
