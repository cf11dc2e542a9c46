"""The queue of reports on messages: claims, retries, and what is given up. The rows are the queue.

A worker claims messages by moving `callback_next_at` on, and notes what became of them only while the claim
is its own.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from config.shared import hints
from marketplace.notifications.metrics import CALLBACK_STATUSES
from marketplace.notifications.statuses import DeliveryStatus
from whatsapp.crypto.encryption import UndecryptableError
from whatsapp.models import Message

log = structlog.get_logger("callbacks")

BATCH = 100  # messages in one claim
CLAIM = timedelta(seconds=90)  # what a killed worker had claimed is told so much later
LONGEST_POST = 60.0  # seconds for one post with its slot, its name's resolving and its connections
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0  # seconds
# With these pauses a day passes until the 41st failure. A refusal weighs ten: the same words will hardly be
# taken later, so a few tries, far apart, are enough.
MOST_FAILURES = 41
REFUSAL = 10

State = Message.CallbackState


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be told of one message, as it stood when it was read."""

    message: Message
    told: list[DeliveryStatus]
    currency: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a post ended. `weight` is what it adds to the message's failures, 0 for "told" and "not tried"."""

    kind: str
    cause: str = ""
    weight: int = 1
    retry_after: float = 0.0
    about_one: bool = False  # splitting the batch may help


TOLD = Outcome("told", weight=0)


@dataclass(frozen=True, slots=True)
class Claim:
    """Messages that are this worker's until `until`; nobody else posts them before."""

    until: datetime
    ends: float  # monotonic seconds
    messages: list[Message]

    def has_time(self) -> bool:
        """Whether one more post surely ends within the claim."""
        return time.monotonic() + LONGEST_POST < self.ends

    def rows(self, messages: Sequence[Message]) -> QuerySet[Message]:
        """Those of the rows that are still this claim's."""
        pks = [message.pk for message in messages]
        return Message.objects.filter(pk__in=pks, callback_state=State.DUE, callback_next_at=self.until)


def due(*, limit: int) -> list[int]:
    """Return ids of messages whose report is due; each stands for a batch."""
    return list(_due().values_list("pk", flat=True)[:limit])


def claim_batch() -> Claim:
    """Take the oldest due messages, at most BATCH; what another worker is taking is passed over."""
    ends = time.monotonic() + CLAIM.total_seconds()
    until = timezone.now() + CLAIM
    with transaction.atomic():
        free = _due().select_for_update(skip_locked=True, no_key=True)
        pks = list(free.values_list("pk", flat=True)[:BATCH])
        Message.objects.filter(pk__in=pks).update(callback_next_at=until)
    return Claim(until, ends, _load(pks))


def note_told(claim: Claim, reports: list[Report]) -> None:
    """Note the new flags; what went on to another status since it was read stays due."""
    alike: dict[tuple[str, int], list[Message]] = {}
    for report in reports:
        flags = report.message.reported | sum(told.flag for told in report.told)
        alike.setdefault((report.message.status, flags), []).append(report.message)
        for told in report.told:
            CALLBACK_STATUSES.labels(str(int(told))).inc()
    for (status, flags), messages in alike.items():
        rows = claim.rows(messages)
        noted = {"reported": flags, "callback_attempts": 0, "callback_error": ""}
        rows.filter(status=status).update(callback_state=State.DONE, **noted)
        rows.update(callback_next_at=timezone.now(), **noted)
    if reports:
        log.info("statuses told", messages=len(reports), statuses=sum(len(one.told) for one in reports))


def note_failure(claim: Claim, reports: list[Report], outcome: Outcome) -> None:
    """Postpone, or give up after the last failure. The batch stays together: one pause for all."""
    messages = [report.message for report in reports]
    pause = _pause(max(message.callback_attempts for message in messages) + outcome.weight, outcome)
    again = timezone.now() + pause
    rows = claim.rows(messages)
    if not outcome.weight:
        rows.update(callback_next_at=again)
        return
    failed = F("callback_attempts") + outcome.weight
    given_up = rows.filter(callback_attempts__gte=MOST_FAILURES - outcome.weight).update(
        callback_state=State.DEAD,
        callback_next_at=None,
        callback_attempts=failed,
        callback_error=outcome.cause[:300],
    )
    rows.update(callback_next_at=again, callback_attempts=failed, callback_error=outcome.cause[:300])
    log.warning(
        "statuses not told",
        messages=len(messages),
        given_up=given_up,
        outcome=outcome.kind,
        cause=outcome.cause,
        again_in=round(pause.total_seconds()),
    )


def _pause(failures: int, outcome: Outcome) -> timedelta:
    """Exponential backoff with jitter, and never less than what YClients asked for."""
    if not outcome.weight:
        return timedelta(seconds=outcome.retry_after)
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 20))
    jittered = longest * random.uniform(0.5, 1)  # noqa: S311 spreads load, guards nothing
    return timedelta(seconds=max(jittered, min(outcome.retry_after, LONGEST_PAUSE)))


def replay_callback(*, message: Message) -> bool:
    """Try a given up report again, from now on for another day; False when it was not given up."""
    return bool(_replay(dead(ids=[message.pk])))


def dead(*, salon_id: int | None = None, ids: Sequence[int] | None = None) -> QuerySet[Message]:
    """The given up reports, of one salon or of these messages; those whose address was removed with age
    cannot be tried again and are not among them."""
    rows = Message.objects.filter(direction=Message.Direction.OUT, callback_state=State.DEAD, pruned_at=None)
    if salon_id is not None:
        rows = rows.filter(external_id__startswith=f"{salon_id}:")
    return rows if ids is None else rows.filter(pk__in=ids)


def replay_dead(*, salon_id: int | None = None, ids: Sequence[int] | None = None) -> int:
    """Try given up reports again, of all messages, of one salon's or of these; return how many there were."""
    return _replay(dead(salon_id=salon_id, ids=ids))


def _replay(given_up: QuerySet[Message]) -> int:
    changed = given_up.update(
        callback_state=State.DUE, callback_attempts=0, callback_error="", callback_next_at=timezone.now()
    )
    hints.wake_workers()
    return changed


def _due() -> QuerySet[Message]:
    waiting = Message.objects.filter(callback_state=State.DUE, callback_next_at__lte=timezone.now())
    # What clients write waits in the same column for somebody else.
    return waiting.filter(source=Message.Source.OPERATOR).order_by("callback_next_at", "pk")


def _load(pks: list[int]) -> list[Message]:
    try:
        return list(Message.objects.filter(pk__in=pks).order_by("pk"))
    except UndecryptableError:
        return [message for pk in pks if (message := _load_one(pk)) is not None]


def _load_one(pk: int) -> Message | None:
    try:
        return Message.objects.get(pk=pk)
    except UndecryptableError as error:
        log.error("report given up", message=pk, cause=str(error))
        Message.objects.filter(pk=pk).update(
            callback_state=State.DEAD, callback_next_at=None, callback_error=str(error)
        )
        return None
