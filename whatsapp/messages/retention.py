"""What is forgotten with time: texts and phones are personal data, and old history helps nobody.

Each kind forgets in batches of its own short transactions, beside a running system. A batch that was
interrupted is simply done again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from whatsapp.media import files
from whatsapp.media.retention import old_files, sweep
from whatsapp.models import Conversation, KnownNumber, Message, MessageLocation, SessionEvent

BATCH = 1000  # rows
FILES_BATCH = 100  # each is a call to the storage

Rows = QuerySet[Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """How many rows a batch has changed, and after which id the next one goes on; None: nothing is left."""

    changed: int
    after: int | None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of data with an age.

    `setting` names the days in the settings; `old(before)` are the rows that are to be forgotten;
    `forget(before, after)` does one batch of them, in the order of their ids.
    """

    name: str
    setting: str
    what: str
    old: Callable[[datetime], Rows]
    forget: Callable[[datetime, int], Batch]


def old_messages(before: datetime) -> Rows:
    """Messages that have ended and whose text and phone are older than `before`.

    What still waits, or has a callback due, is kept: it ends by itself within a day.
    """
    waiting = Q(status__in=[Message.Status.QUEUED, Message.Status.SENDING])
    untold = Q(callback_state=Message.CallbackState.DUE)
    return Message.objects.filter(created_at__lt=before, pruned_at=None).exclude(waiting).exclude(untold)


def forget_texts(before: datetime, after: int) -> Batch:
    """Remove text, phone and address; number, names, states and times stay.

    So counts and stories stay true, a repeat of the message's name is still known as one, and nothing is
    left that could be sent again.
    """
    last = Message.objects.filter(created_at__lt=before).order_by("-created_at").only("pk").first()
    if last is None:
        return Batch(0, None)
    # The bound keeps the search from walking through everything that is young.
    page = old_messages(before).filter(pk__gt=after, pk__lte=last.pk).order_by("pk")
    keys = list(page.values_list("pk", flat=True)[:BATCH])
    MessageLocation.objects.filter(message__in=keys).delete()
    # Asked again in the update: an answer of WhatsApp may have come meanwhile.
    changed = old_messages(before).filter(pk__in=keys).update(
        text="", phone="", lid="", error="", callback_url="", pruned_at=timezone.now()
    )  # fmt: skip
    return Batch(changed, keys[-1] if len(keys) == BATCH else None)


def old_events(before: datetime) -> Rows:
    """Entries of sessions' histories."""
    return SessionEvent.objects.filter(created_at__lt=before)


def old_numbers(before: datetime) -> Rows:
    """Numbers that WhatsApp was not asked about for long, and that no client has written from."""
    return KnownNumber.objects.filter(checked_at__lt=before)


def old_conversations(before: datetime) -> Rows:
    """Conversations in which nothing was written since; their texts go by the same age."""
    return Conversation.objects.filter(last_at__lt=before)


def deleting(old: Callable[[datetime], Rows]) -> Callable[[datetime, int], Batch]:
    """The `forget` of a kind whose rows go altogether."""

    def forget(before: datetime, after: int) -> Batch:
        keys = list(old(before).filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:BATCH])
        old(before).filter(pk__in=keys).delete()
        return Batch(len(keys), keys[-1] if len(keys) == BATCH else None)

    return forget


def forget_files(before: datetime, after: int) -> Batch:
    """Remove files, their names and keys; that a message had one stays. At last, what belongs to no row."""
    page = old_files(before).filter(pk__gt=after).order_by("pk")
    rows = list(page.only("pk", "stored_name")[:FILES_BATCH])
    changed = files.remove(rows)
    if len(rows) == FILES_BATCH:
        return Batch(changed, rows[-1].pk)
    sweep()
    return Batch(changed, None)


FILES = Kind("media", "RETENTION_MEDIA_DAYS", "files of messages", old_files, forget_files)
TEXTS = Kind(
    "messages",
    "RETENTION_MESSAGES_DAYS",
    "texts and phones of messages; their counts, states and times stay",
    old_messages,
    forget_texts,
)
NUMBERS = Kind(
    "numbers", "RETENTION_NUMBERS_DAYS", "what is known of phones", old_numbers, deleting(old_numbers)
)
CONVERSATIONS = Kind(
    "conversations",
    "RETENTION_MESSAGES_DAYS",
    "conversations that have ended",
    old_conversations,
    deleting(old_conversations),
)
EVENTS = Kind(
    "session-events", "RETENTION_SESSION_EVENTS_DAYS", "sessions' histories", old_events, deleting(old_events)
)
