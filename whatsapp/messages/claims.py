"""Claims the next message of many sessions in one transaction.

A message is claimed under its session's lease, and committed as `sending`, before WhatsApp hears of it. Rows
that somebody else has locked are left for a moment, never waited for: two processes that lock many rows in
different orders cannot wait for each other then.
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import Error, OperationalError, transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone

from config.shared.database import DedicatedThread
from whatsapp.messages import numbers, outbox
from whatsapp.messages.limits import Limits, limits_of
from whatsapp.models import KnownNumber, Message, Session
from whatsapp.sessions.leases import Lease, LeaseLost
from whatsapp.sessions.policy import CHECK_BATCH

Status = Message.Status
BATCH_MOST = 100  # sessions in one transaction


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A session that may send now. With `unchecked_too` a message goes out although nothing is known of its
    number: WhatsApp was asked and did not answer."""

    lease: Lease
    unchecked_too: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What a session does next: send `message` (committed as sending) to `address`, or ask about the numbers
    `to_check` first. With neither, nothing may go now; `held` says that only advertising waits for its hours,
    `again` that a row was locked or changed, so that another claim may find something at once.
    """

    limits: Limits
    message: Message | None = None
    address: str = ""
    to_check: tuple[str, ...] = ()
    held: bool = False
    again: bool = False


def claim(request: ClaimRequest) -> Step:
    """Decide what the session does next, and commit it. Raises LeaseLost."""
    (step,) = claim_many([request])
    if isinstance(step, LeaseLost):
        raise step
    return step


def claim_many(requests: Sequence[ClaimRequest]) -> list[Step | LeaseLost]:
    """Decide what each of these sessions does next, and commit it; in the order of the requests."""
    now = timezone.now()
    with transaction.atomic():
        rows = _lock_sessions(requests, now)
        heads = _lock_messages([row.head for row in rows.values() if row.head])  # type: ignore[attr-defined]
        known = numbers.known_of({message.phone for message in heads.values()})
        steps = [
            _step(request, rows.get(request.lease.session_id), heads, known, now) for request in requests
        ]
        claimed = [step.message.pk for step in steps if isinstance(step, Step) and step.message]
        if claimed:
            Message.objects.filter(pk__in=claimed).update(
                status=Status.SENDING, attempts=F("attempts") + 1, sending_at=now
            )
    return steps


def _lock_sessions(requests: Sequence[ClaimRequest], now: datetime) -> dict[uuid.UUID, Session]:
    """The sessions' rows with their limits and the key of the message that is next (`head`).

    Not locked against inserts that refer to them: a request with a thousand messages must not hold up the
    one that is to be sent.
    """
    in_time = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    due = Message.objects.filter(
        in_time, session=OuterRef("pk"), status=Status.QUEUED, not_before__lte=now
    ).order_by("priority", "not_before", "id")
    rows = (
        Session.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
        .select_related("limits")
        .defer("qr", "pairing_code")
        .annotate(head=Subquery(due.values("pk")[:1]))
        .filter(pk__in=[request.lease.session_id for request in requests])
    )
    return {row.pk: row for row in rows}


def _lock_messages(heads: Sequence[int]) -> dict[int, Message]:
    if not heads:
        return {}
    rows = Message.objects.select_for_update(skip_locked=True, no_key=True).defer("callback_url")
    return {row.pk: row for row in rows.filter(pk__in=heads, status=Status.QUEUED)}


def _step(
    request: ClaimRequest,
    session: Session | None,
    heads: dict[int, Message],
    known: dict[str, KnownNumber],
    now: datetime,
) -> Step | LeaseLost:
    lease = request.lease
    if session is None:  # locked by somebody, or gone
        session = Session.objects.select_related("limits").filter(pk=lease.session_id).first()
        if session is None or not lease.holds(session):
            return LeaseLost(f"session {lease.session_id}")
        return Step(limits_of_row(session, now), again=True)
    if not lease.holds(session):
        return LeaseLost(f"session {lease.session_id}")
    limits = limits_of_row(session, now)
    head: int | None = session.head  # type: ignore[attr-defined]
    if session.wanted != Session.Wanted.LINKED or session.sending_paused or not session.is_linked or not head:
        return Step(limits)
    message = heads.get(head)
    if message is None:
        return Step(limits, again=True)
    if message.category == Message.Category.ADDS and limits.adds_wait_until(now) is not None:
        return Step(limits, held=True)
    number = known.get(message.phone)
    if number is None and not request.unchecked_too:
        ahead = [message.phone, *numbers.unchecked(session.pk, limit=CHECK_BATCH)]
        return Step(limits, to_check=tuple(dict.fromkeys(ahead))[:CHECK_BATCH])
    if number is not None and not number.on_whatsapp:
        outbox.fail_without_whatsapp(session_id=session.pk)
        return Step(limits, again=True)
    message.attempts += 1
    message.sending_at = now
    address = number.jid.partition("@")[0] if number and number.jid else message.phone
    return Step(limits, message=message, address=address)


def limits_of_row(session: Session, now: datetime) -> Limits:
    """The limits of a session that was read with its own settings."""
    return limits_of(session=session, row=getattr(session, "limits", None), now=now)


class ClaimBatches:
    """The claims of a pool's sessions: those that come while one transaction runs make up the next."""

    def __init__(self) -> None:
        self._waiting: list[tuple[ClaimRequest, asyncio.Future[Step]]] = []
        self._added = asyncio.Event()
        self._thread = DedicatedThread("claims")

    async def claim(self, request: ClaimRequest) -> Step:
        """As the function `claim`; raises what the database raises, too."""
        future: asyncio.Future[Step] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._added.set()
        return await future

    async def run(self) -> None:
        """Answer what is asked, for ever."""
        while True:
            await self._added.wait()
            batch, self._waiting = self._waiting[:BATCH_MOST], self._waiting[BATCH_MOST:]
            if not self._waiting:
                self._added.clear()
            await self._answer([one for one in batch if not one[1].done()])

    def close(self) -> None:
        """Give the connection back."""
        self._thread.close()

    async def _answer(self, batch: list[tuple[ClaimRequest, asyncio.Future[Step]]]) -> None:
        if not batch:
            return
        steps: Sequence[Step | Exception]
        try:
            steps = await self._thread.run(claim_many, [request for request, _future in batch])
        except Exception as error:  # noqa: BLE001  it belongs to those who wait
            # A fault of one session must not stop all others; a database that is away is away for all.
            if len(batch) > 1 and isinstance(error, Error) and not isinstance(error, OperationalError):
                for one in batch:
                    await self._answer([one])
                return
            steps = [error] * len(batch)
        for (_request, future), step in zip(batch, steps, strict=True):
            if future.done():
                continue  # its runner has ended; the next holder of the lease settles the message
            if isinstance(step, Exception):
                future.set_exception(step)
            else:
                future.set_result(step)
