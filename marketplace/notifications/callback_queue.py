"""The queue of status callbacks: batches that are claimed, retries, and what is given up.

The row of a message that YClients sent through us is the queue (`callback_state` due).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from marketplace.notifications.metrics import CALLBACK_STATUSES
from marketplace.notifications.statuses import DeliveryStatus
from whatsapp.crypto.encryption import UndecryptableError
from whatsapp.messages.status_changes import MESSAGE_CALLBACKS
from whatsapp.models import Message

log = structlog.get_logger("callbacks")

State = Message.CallbackState
CALLBACKS = replace(
    MESSAGE_CALLBACKS,
    name="callbacks",
    where=Q(source=Message.Source.OPERATOR, direction=Message.Direction.OUT),
    lease=timedelta(seconds=90),
    first=5.0,
    max_attempts=57,  # with these pauses about a day passes until then
)
# What a refusal adds to the attempts: the same will hardly be accepted later, so five tries are enough.
REFUSAL = 12
BATCH = 100  # messages in one claim
LONGEST_POST = 60.0  # seconds for one post with its slot, its name's resolving and its connections


@dataclass(frozen=True, slots=True)
class Callback:
    """The statuses that YClients is to get of one message, as it stood when it was read."""

    message: Message
    statuses: list[DeliveryStatus]
    currency: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a post ended. `weight` is what it adds to the attempts: 0 when it was accepted, or not tried."""

    kind: str
    cause: str = ""
    weight: int = 1
    retry_after: float = 0.0
    about_one: bool = False  # splitting the batch may help


@dataclass(frozen=True, slots=True)
class Claim:
    """Messages that are this worker's until `until`; nobody else posts them before."""

    until: datetime
    ends: float  # monotonic seconds
    messages: list[Message]

    def has_time(self) -> bool:
        """Whether one more post surely ends within the claim."""
        return time.monotonic() + LONGEST_POST < self.ends

    def held(self, messages: Sequence[Message]) -> QuerySet[Message]:
        """Those of the rows that are still this claim's."""
        return CALLBACKS.held_until(self.until, [message.pk for message in messages])


def claim_batch() -> Claim:
    """Claim the longest waiting messages, at most BATCH."""
    ends = time.monotonic() + CALLBACKS.lease.total_seconds()
    until, pks = CALLBACKS.claim_batch(BATCH)
    return Claim(until, ends, _load(pks))


def record_reported(claim: Claim, callbacks: list[Callback]) -> None:
    """Note the reported statuses; a message whose status has changed since it was read stays due."""
    alike: dict[tuple[str, int], list[Message]] = {}
    for callback in callbacks:
        flags = callback.message.reported | sum(status.flag for status in callback.statuses)
        alike.setdefault((callback.message.status, flags), []).append(callback.message)
        for status in callback.statuses:
            CALLBACK_STATUSES.labels(str(int(status))).inc()
    for (status_read, flags), messages in alike.items():
        held = claim.held(messages)
        reported = {"reported": flags, "callback_attempts": 0, "callback_error": ""}
        held.filter(status=status_read).update(callback_state=State.DONE, **reported)
        held.update(callback_next_at=timezone.now(), **reported)
    if callbacks:
        count = sum(len(callback.statuses) for callback in callbacks)
        log.info("statuses reported", messages=len(callbacks), statuses=count)


def record_failure(claim: Claim, callbacks: list[Callback], outcome: Outcome) -> None:
    """Postpone, or give up after the last attempt. The batch stays together: one pause for all."""
    messages = [callback.message for callback in callbacks]
    held = claim.held(messages)
    if not outcome.weight:
        held.update(callback_next_at=timezone.now() + timedelta(seconds=outcome.retry_after))
        return
    tries = max(message.callback_attempts for message in messages) + outcome.weight
    pause = CALLBACKS.pause(tries, outcome.retry_after)
    failed = {
        "callback_attempts": F("callback_attempts") + outcome.weight,
        "callback_error": outcome.cause[:300],
    }
    given_up = held.filter(callback_attempts__gte=CALLBACKS.max_attempts - outcome.weight).update(
        callback_state=State.DEAD, callback_next_at=None, **failed
    )
    held.update(callback_next_at=timezone.now() + pause, **failed)
    log.warning(
        "statuses not reported",
        messages=len(messages),
        given_up=given_up,
        outcome=outcome.kind,
        cause=outcome.cause,
        again_in=round(pause.total_seconds()),
    )


def dead(*, salon_id: int | None = None, ids: Sequence[int] | None = None) -> QuerySet[Message]:
    """The callbacks that were given up, of one salon or of these messages; those whose address was removed
    with age cannot be tried again and are not among them."""
    rows = CALLBACKS.given_up().filter(pruned_at=None)
    if salon_id is not None:
        rows = rows.filter(external_id__startswith=f"{salon_id}:")
    return rows if ids is None else rows.filter(pk__in=ids)


def replay_dead(*, salon_id: int | None = None, ids: Sequence[int] | None = None) -> int:
    """Try again what `dead` returns, from now on for another day; return how many there were."""
    return CALLBACKS.replay(dead(salon_id=salon_id, ids=ids))


def _load(pks: list[int]) -> list[Message]:
    try:
        return list(Message.objects.filter(pk__in=pks).order_by("pk"))
    except UndecryptableError:
        return [message for pk in pks if (message := _load_one(pk)) is not None]


def _load_one(pk: int) -> Message | None:
    try:
        return Message.objects.get(pk=pk)
    except UndecryptableError as error:
        log.error("callback given up", message=pk, cause=str(error))
        Message.objects.filter(pk=pk).update(
            callback_state=State.DEAD, callback_next_at=None, callback_error=str(error)
        )
        return None
