"""Passes what clients write on to an address that the salon has chosen: the door for a bot.

`keep` makes the rows in the transaction that acts on the message, `deliver` posts them. A worker that dies
between the post and our note of it posts the same delivery id again, by which the receiver knows it. How the
receiver checks a delivery is told in docs/forwarding.md. Neither the address nor the secret is ever logged.
"""

import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from config.shared import hints
from marketplace.inbound.forwarding_metrics import FORWARDED
from marketplace.inbound.forwarding_post import Outcome, new_secret, post
from marketplace.models import Company
from marketplace.models.forwarding import ForwardedMessage, Forwarding
from whatsapp.models import Message

log = structlog.get_logger("forwarding")

TRIED_FOR = timedelta(days=1)
CLAIM = timedelta(seconds=120)
LONGEST_RUN = 30.0  # seconds after which other salons' messages get their turn
LONGEST_POST = 60.0  # seconds for one post with its name's resolving and its connections
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0  # seconds before a message is tried again
LONGEST_REST = 600.0  # seconds in which a receiver that does not answer is left alone
REFUSALS_IN_A_ROW = 3  # of different messages: then it is not about the message
OFF = "forwarding is switched off"

State = ForwardedMessage.State


def keep(*, message: Message, companies: Sequence[Company]) -> int:
    """Queue the message for each active salon of its number that wants it; once, however often called."""
    active = [company.pk for company in companies if company.status == Company.Status.ACTIVE]
    wanting = Forwarding.objects.filter(company_id__in=active, enabled=True).values_list("pk", flat=True)
    rows = [ForwardedMessage(forwarding_id=pk, message=message) for pk in wanting]
    ForwardedMessage.objects.bulk_create(rows, ignore_conflicts=True)
    if rows:
        hints.wake_workers()
    return len(rows)


def due(*, limit: int) -> list[int]:
    """Return ids of forwardings that have messages to deliver and that nobody is delivering."""
    now = timezone.now()
    waiting = ForwardedMessage.objects.filter(
        forwarding=OuterRef("pk"), state=State.DUE, next_attempt_at__lte=now
    )
    free = Forwarding.objects.filter(_free(now), Exists(waiting), enabled=True)
    return list(free.order_by("claimed_until", "pk").values_list("pk", flat=True)[:limit])


def deliver(forwarding_id: int) -> int:
    """Deliver what is due to one address, oldest first; return how many messages were taken there."""
    ends = time.monotonic() + CLAIM.total_seconds()
    until = timezone.now() + CLAIM
    if not Forwarding.objects.filter(_free(timezone.now()), pk=forwarding_id, enabled=True).update(
        claimed_until=until
    ):
        return 0
    try:
        return _deliver_all(forwarding_id, stop_at=time.monotonic() + LONGEST_RUN, ends=ends)
    finally:
        Forwarding.objects.filter(pk=forwarding_id, claimed_until=until).update(claimed_until=None)


def set_address(*, forwarding: Forwarding, url: str, enabled: bool) -> None:
    """Deliver to another address from now on, or nowhere: what waits then is given up until a replay."""
    with transaction.atomic():
        row = Forwarding.objects.select_for_update(no_key=True).get(pk=forwarding.pk)
        row.url, row.enabled = url, enabled
        row.paused_until, row.failures, row.last_error = None, 0, ""
        row.save(update_fields=["url", "enabled", "paused_until", "failures", "last_error", "updated_at"])
        if not enabled:
            waiting = ForwardedMessage.objects.filter(forwarding=row, state=State.DUE)
            waiting.update(state=State.DEAD, last_error=OFF)


def renew_secret(*, forwarding: Forwarding) -> str:
    """Replace the secret and return the new one; every delivery from now on is signed with it."""
    secret = new_secret()
    row = Forwarding.objects.get(pk=forwarding.pk)
    row.secret = secret
    row.save(update_fields=["secret", "updated_at"])
    return secret


def replay(*, forwarded: ForwardedMessage) -> bool:
    """Deliver a given up message again, for another day; False when it was not given up."""
    return bool(_replay(ForwardedMessage.objects.filter(pk=forwarded.pk)))


def _replay(rows: QuerySet[ForwardedMessage]) -> int:
    now = timezone.now()
    changed = rows.filter(state=State.DEAD).update(
        state=State.DUE, attempts=0, since=now, next_attempt_at=now, last_error=""
    )
    hints.wake_workers()
    return changed


def _free(now: datetime) -> Q:
    unclaimed = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    return unclaimed & (Q(paused_until__isnull=True) | Q(paused_until__lte=now))


def _deliver_all(forwarding_id: int, *, stop_at: float, ends: float) -> int:
    delivered = refused = 0
    while time.monotonic() < stop_at and time.monotonic() + LONGEST_POST < ends:
        row = _next(forwarding_id)
        if row is None:
            break
        outcome = post(row)
        if not outcome.cause:
            _note_delivered(row)
            delivered, refused = delivered + 1, 0
            continue
        refused += 1
        rest = outcome.rest or refused >= REFUSALS_IN_A_ROW
        _note_failure(row, outcome, rest=rest)
        if rest:
            break
    return delivered


def _next(forwarding_id: int) -> ForwardedMessage | None:
    """Return the oldest due message, with its attempt counted: a crash in the middle counts as one."""
    now = timezone.now()
    rows = ForwardedMessage.objects.filter(
        forwarding_id=forwarding_id, forwarding__enabled=True, state=State.DUE, next_attempt_at__lte=now
    ).order_by("pk")
    pk = rows.values_list("pk", flat=True).first()
    if pk is None:
        return None
    again = now + _pause(1, LONGEST_PAUSE)
    ForwardedMessage.objects.filter(pk=pk, state=State.DUE).update(
        attempts=F("attempts") + 1, next_attempt_at=again
    )
    named = ForwardedMessage.objects.select_related("message__session").defer(
        "message__callback_url", "message__session__qr", "message__session__pairing_code"
    )
    return named.filter(pk=pk).first()


def _note_delivered(row: ForwardedMessage) -> None:
    now = timezone.now()
    ForwardedMessage.objects.filter(pk=row.pk, state=State.DUE).update(
        state=State.DELIVERED, delivered_at=now, last_error=""
    )
    Forwarding.objects.filter(pk=row.forwarding_id).update(
        failures=0, paused_until=None, last_error="", delivered_at=now
    )
    FORWARDED.labels("delivered").inc()


def _note_failure(row: ForwardedMessage, outcome: Outcome, *, rest: bool) -> None:
    """Postpone the message; with `rest` every other one for this address too. What is older than a day is
    given up with it."""
    now = timezone.now()
    cause = outcome.cause[:300]
    again = now + max(_pause(row.attempts, LONGEST_PAUSE), timedelta(seconds=outcome.retry_after))
    waiting = ForwardedMessage.objects.filter(forwarding_id=row.forwarding_id, state=State.DUE)
    waiting.filter(pk=row.pk).update(next_attempt_at=again, last_error=cause)
    late = waiting.filter(since__lte=now - TRIED_FOR)
    given_up = (late if rest else late.filter(pk=row.pk)).update(state=State.DEAD, last_error=cause)
    if rest:
        target = Forwarding.objects.filter(pk=row.forwarding_id)
        target.update(failures=F("failures") + 1, last_error=cause)
        failures = target.values_list("failures", flat=True).first() or 1
        pause = max(
            _pause(failures, LONGEST_REST), timedelta(seconds=min(outcome.retry_after, LONGEST_PAUSE))
        )
        target.update(paused_until=now + pause)
    FORWARDED.labels("failed").inc()
    FORWARDED.labels("given_up").inc(given_up)
    log.warning(
        "message not forwarded",
        delivery=str(row.delivery_id),
        attempts=row.attempts,
        given_up=given_up,
        cause=cause,
    )


def _pause(failures: int, longest: float) -> timedelta:
    pause = min(longest, FIRST_PAUSE * 2 ** min(failures - 1, 20))
    return timedelta(seconds=pause * random.uniform(0.5, 1))  # noqa: S311 spreads load, guards nothing
