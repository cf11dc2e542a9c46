"""Forwards what clients write to an address that the salon has chosen, such as a bot's.

`queue` makes the rows in the transaction that processes the message, `deliver` posts them. A worker that dies
between the post and our note of it posts the same delivery id again, by which the receiver knows it. How the
receiver checks a delivery is described in docs/forwarding.md. Neither address nor secret is ever logged.
"""

import time
from collections.abc import Sequence
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from config.shared import hints
from config.shared.masking import mask_text
from config.shared.queue import Queue
from marketplace.inbound.forwarding_metrics import FORWARDINGS
from marketplace.inbound.forwarding_post import Outcome, post
from marketplace.models import Company, MarketplaceEvent
from marketplace.models.forwarding import ForwardedMessage, Forwarding
from whatsapp.models import Message

log = structlog.get_logger("forwarding")

TRIED_FOR = timedelta(days=1)
LONGEST_RUN = 30.0  # seconds after which other salons' messages get their turn
LONGEST_POST = 60.0  # seconds for one post with its name's resolving and its connections
REFUSALS_IN_A_ROW = 3  # of different messages: then it is not about the message

State = ForwardedMessage.State
# One worker at a time delivers to one address; a receiver that does not answer is left alone for a while.
ADDRESSES = Queue(
    name="forwarding",
    model=Forwarding,
    where=Q(enabled=True),
    due_at="paused_until",
    null_is_due=True,
    claimed_until="claimed_until",
    attempts="",
    defer=("url", "secret"),  # read for each post: a key may be missing, or the address change
    lease=timedelta(seconds=120),
    first=5.0,
    longest=600.0,
)
FORWARDED = Queue(
    name="forwarded",
    model=ForwardedMessage,
    state="state",
    fresh=State.DUE,
    dead=State.DEAD,
    lease=timedelta(seconds=LONGEST_POST),
    first=5.0,
)


def queue(*, message: Message, companies: Sequence[Company]) -> int:
    """Queue the message for each active salon of its number that wants it; once, however often called."""
    active = [company.pk for company in companies if company.status == Company.Status.ACTIVE]
    wanting = Forwarding.objects.filter(company_id__in=active, enabled=True).values_list("pk", flat=True)
    rows = [ForwardedMessage(forwarding_id=pk, message=message) for pk in wanting]
    ForwardedMessage.objects.bulk_create(rows, ignore_conflicts=True)
    if rows:
        hints.wake_workers()
    return len(rows)


def ready() -> QuerySet[Forwarding]:
    """The forwardings that have messages to deliver and that nobody is delivering."""
    return ADDRESSES.ready().filter(Exists(FORWARDED.ready().filter(forwarding=OuterRef("pk"))))


def due(*, limit: int) -> list[int]:
    """Return ids of forwardings to deliver to now."""
    return list(ready().values_list("pk", flat=True)[:limit])


def deliver(forwarding_id: int) -> int:
    """Deliver what is due to one address, oldest first; return how many messages were delivered."""
    started = time.monotonic()
    address = ADDRESSES.claim(forwarding_id)
    if address is None:
        return 0
    try:
        return _deliver_all(address, started)
    finally:
        ADDRESSES.release(address)


def replay(*, forwarded: ForwardedMessage, by: str) -> bool:
    """Deliver a given up message again, for another day, and write into the salon's events that `by` did.

    False when it was not given up, or when the text it was about is no longer kept.
    """
    given_up = FORWARDED.given_up().filter(pk=forwarded.pk).exclude(ForwardedMessage.TEXT_IS_GONE)
    with transaction.atomic():
        replayed = FORWARDED.replay(given_up, since=timezone.now())
        if replayed:
            company = Company.objects.only("pk", "salon_id").get(forwarding=forwarded.forwarding_id)
            company.note(
                MarketplaceEvent.Type.FORWARDING_REPLAYED, by=by, delivery=str(forwarded.delivery_id)
            )
    return bool(replayed)


def _deliver_all(address: Forwarding, started: float) -> int:
    delivered = refused = 0
    ends = started + min(LONGEST_RUN, ADDRESSES.lease.total_seconds() - LONGEST_POST)
    while time.monotonic() < ends and (row := _next(address)) is not None:
        outcome = _post(row)
        if not outcome.cause:
            _record_delivered(row)
            delivered, refused = delivered + 1, 0
            continue
        refused += 1
        rest = outcome.rest or refused >= REFUSALS_IN_A_ROW
        _record_failure(row, outcome, rest=rest)
        if rest:
            break
    return delivered


def _next(address: Forwarding) -> ForwardedMessage | None:
    """Claim the oldest due message of the address, unless it was switched off meanwhile."""
    rows = FORWARDED.ready().filter(forwarding=address, forwarding__enabled=True).order_by("pk")
    # A test does not wait behind what the address refuses. Due rows of one address are a day's at most.
    tests = rows.filter(event=ForwardedMessage.Event.TEST)
    pk = tests.values_list("pk", flat=True).first() or rows.values_list("pk", flat=True).first()
    return None if pk is None else FORWARDED.claim(pk)


def _post(row: ForwardedMessage) -> Outcome:
    try:
        return post(row)
    except Exception as error:
        log.exception("forwarding failed", delivery=str(row.delivery_id))
        return Outcome(mask_text(repr(error)))


def _record_delivered(row: ForwardedMessage) -> None:
    now = timezone.now()
    FORWARDED.finish(row, state=State.DELIVERED, delivered_at=now)
    Forwarding.objects.filter(pk=row.forwarding_id).update(
        failures=0, paused_until=None, last_error="", delivered_at=now
    )
    FORWARDINGS.labels("delivered").inc()


def _record_failure(row: ForwardedMessage, outcome: Outcome, *, rest: bool) -> None:
    """Postpone the message; with `rest` every other one for this address too. What is older than a day is
    given up with it."""
    cause = outcome.cause[:300]
    too_old = timezone.now() - TRIED_FOR
    # Who asked for a test waits for its result.
    give_up = outcome.final or row.since <= too_old or row.event == ForwardedMessage.Event.TEST
    given_up = int(FORWARDED.retry(row, error=cause, retry_after=outcome.retry_after, give_up=give_up))
    if rest:
        late = ForwardedMessage.objects.filter(
            forwarding=row.forwarding_id, state=State.DUE, since__lte=too_old
        )
        given_up += late.update(state=State.DEAD, last_error=cause)
        address = Forwarding.objects.filter(pk=row.forwarding_id)
        address.update(failures=F("failures") + 1, last_error=cause)
        failures = address.values_list("failures", flat=True).first() or 1
        address.update(paused_until=timezone.now() + ADDRESSES.pause(failures, outcome.retry_after))
    FORWARDINGS.labels("failed").inc()
    FORWARDINGS.labels("given_up").inc(given_up)
    log.warning(
        "message not forwarded",
        delivery=str(row.delivery_id),
        attempts=row.attempts,
        given_up=given_up,
        cause=cause,
    )
