"""What the rest of the product may ask of messages: queue them, withdraw them, send one again, count them.

Nothing here talks to WhatsApp: the pool that holds the session sends (`sender`), and the rows say what became
of each message. A row whose `callback_state` is due has a change to report (`status_changes`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Count, F, Min, QuerySet, Value, When
from django.utils import timezone

from config.shared import hints
from config.shared.bulk_insert import Guard, insert_new
from config.shared.storable import storable
from whatsapp import metrics
from whatsapp.media import files
from whatsapp.messages.status_changes import callback_due, wake_workers_soon
from whatsapp.models import MediaFile, Message, Session

Status, CallbackState, Source, Category = (
    Message.Status,
    Message.CallbackState,
    Message.Source,
    Message.Category,
)
NO_DEVICE, TOO_LATE = "no device is linked", "it was too late to send it"
PRIORITIES = {Category.SERVICE: 0, Category.ADDS: 10}
ENDED = (Status.FAILED, Status.EXPIRED, Status.UNKNOWN)


class NotResendable(Exception):
    """The message still waits, has reached WhatsApp, came from a client, or was sent again already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """One message to take.

    `phone` is digits with the country code (`services.normalise_phone`); `external_id` is the caller's name
    of it, at most 128 characters: the same one of the same source is never taken twice for a session.
    Without `not_before` it is due at once; without `expires_at` it never gets too late.
    """

    phone: str
    text: str
    source: str  # Message.Source
    external_id: str
    category: str = Category.SERVICE
    callback_url: str = ""
    reports: bool = False  # without a callback address: each change of its status makes it due for a report
    not_before: datetime | None = None
    expires_at: datetime | None = None
    media_id: int | None = None  # a file that goes with it; the text is its caption


@dataclass(frozen=True, slots=True)
class SendingSession:
    """A session as its sender has read it; `is_linked`: with a linked device."""

    id: UUID
    is_linked: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How the messages stand; `oldest_due_at` is when the longest waiting one could have been sent."""

    by_status: dict[str, int]
    callbacks: dict[str, int]
    oldest_due_at: datetime | None


def queue_message(*, session: Session, message: NewMessage) -> Message:
    """Take one message; see `queue_messages`."""
    return queue_messages(session=session, messages=[message])[0]


def queue_with_file(*, session: Session, message: NewMessage, file: MediaFile) -> Message:
    """Take a message with a file that `media.outgoing.store` has just stored; its text is the caption.

    A repeat returns the row that is there, and drops the file.
    """
    with transaction.atomic():
        file.save()
        row = queue_message(session=session, message=replace(message, media_id=file.pk))
        if row.media_id != file.pk:
            file.delete()
            transaction.on_commit(lambda: files.drop(file.stored_name))
        return row


def queue_messages(*, session: Session, messages: list[NewMessage]) -> list[Message]:
    """Take messages in one transaction; return their rows in the order given.

    A repeat returns the row that is there, unchanged. On a session without a linked device the rows are
    failed from the start (`session_unlinked`). The rows come without their callback address.
    """
    if not messages:
        return []
    linked = Session.objects.filter(pk=session.pk).exclude(jid="").exists()
    now = timezone.now()
    with transaction.atomic():
        Message.objects.bulk_create(
            [
                Message(media_id=new.media_id, **_row(session_id=session.pk, new=new, linked=linked, now=now))
                for new in messages
            ],
            ignore_conflicts=True,
            batch_size=500,
        )
        rows = _rows_of(session=session, messages=messages)
        hints.wake_pools()
        hints.wake_workers()
    return [rows[str(new.source), new.external_id] for new in messages]


def queue_for_sessions(messages: Sequence[tuple[SendingSession, NewMessage]]) -> list[int]:
    """Take messages of several sessions by few statements; return their rows' numbers in the order given.

    As `queue_messages`, inside the caller's transaction, in which the sessions were read.
    """
    rows = _rows(messages)
    return _numbered(messages, rows, _insert(rows))


def queue_for_sessions_if(
    condition: Guard, messages: Sequence[tuple[SendingSession, NewMessage]]
) -> list[int] | None:
    """As `queue_for_sessions` by one statement without a transaction, when `condition` holds; None otherwise.

    None, too, when every one of them was taken before.
    """
    rows = _rows(messages)
    named = _insert(rows, condition)
    return _numbered(messages, rows, named) if named else None


def _rows(messages: Sequence[tuple[SendingSession, NewMessage]]) -> "dict[Name, dict[str, Any]]":
    now = timezone.now()
    rows: dict[Name, dict[str, Any]] = {}
    for session, new in messages:
        name = _name(session, new)
        if name not in rows:
            rows[name] = _row(session_id=session.id, new=new, linked=session.is_linked, now=now)
    return rows


def _insert(rows: "dict[Name, dict[str, Any]]", condition: Guard | None = None) -> "dict[Name, int]":
    unique = ("session_id", "source", "external_id")
    wake = (hints.POOLS, hints.WORKERS)
    named: dict[Any, int] = insert_new(Message, [*rows.values()], unique=unique, only_if=condition, wake=wake)
    return named


def _numbered(
    messages: Sequence[tuple[SendingSession, NewMessage]],
    rows: "dict[Name, dict[str, Any]]",
    named: "dict[Name, int]",
) -> list[int]:
    if missing := [name for name in rows if name not in named]:
        named = named | _numbers_of(missing)
    return [named[_name(session, new)] for session, new in messages]


Name = tuple[UUID, str, str]  # session, source and external id


def _name(session: SendingSession, new: NewMessage) -> Name:
    return session.id, str(new.source), new.external_id


def _numbers_of(names: Sequence[Name]) -> dict[Name, int]:
    sessions, sources, external_ids = ({*values} for values in zip(*names, strict=True))
    rows = Message.objects.filter(
        session__in=sessions, source__in=sources, external_id__in=external_ids
    ).values_list("session_id", "source", "external_id", "pk")
    return {(session, source, external_id or ""): pk for session, source, external_id, pk in rows}


def _row(*, session_id: UUID, new: NewMessage, linked: bool, now: datetime) -> dict[str, Any]:
    if not (new.phone.isascii() and new.phone.isdigit()):
        raise ValueError("the phone of a message must be digits")
    return {
        "session_id": session_id,
        "source": new.source,
        "external_id": new.external_id,
        "category": new.category,
        "priority": PRIORITIES[Category(new.category)],
        "phone": new.phone,
        "text": storable(new.text),
        "not_before": new.not_before or now,
        "expires_at": new.expires_at,
        "callback_url": new.callback_url,
        "callback_state": _first_callback_state(new),
        "callback_next_at": now if new.callback_url else None,
        "created_at": now,
        "status": Status.QUEUED if linked else Status.FAILED,
        "error_code": "" if linked else "session_unlinked",
        "error": "" if linked else NO_DEVICE,
        "finished_at": None if linked else now,
    }


def _first_callback_state(new: NewMessage) -> str:
    if new.callback_url:
        return CallbackState.DUE
    return CallbackState.DONE if new.reports else CallbackState.NONE


def _rows_of(*, session: Session, messages: list[NewMessage]) -> dict[tuple[str, str], Message]:
    named: dict[str, list[str]] = {}
    for new in messages:
        named.setdefault(str(new.source), []).append(new.external_id)
    found: dict[tuple[str, str], Message] = {}
    for source, external_ids in named.items():
        rows = Message.objects.filter(session=session, source=source, external_id__in=external_ids)
        for row in rows.defer("callback_url"):
            found[source, row.external_id or ""] = row
    return found


def finish_waiting(
    waiting: QuerySet[Message], *, error_code: str, error: str, status: Message.Status = Status.FAILED
) -> int:
    """End these waiting messages; only what is still `queued` is changed. Returns how many.

    One that waits for its second attempt because the outcome of the first is unknown ends as unknown.
    """
    now = timezone.now()
    in_doubt = When(unknowns__gt=0, then=Value(Status.UNKNOWN.value))
    changed = waiting.filter(status=Status.QUEUED).update(
        status=Case(in_doubt, default=Value(status.value)),
        error_code=Case(When(unknowns__gt=0, then=F("error_code")), default=Value(error_code)),
        error=error[:300],
        finished_at=now,
        **callback_due(now),
    )
    if changed:
        metrics.MESSAGES.labels(outcome=status.value).inc(changed)
        wake_workers_soon()
    return changed


def queued_by_session(session_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return how many messages wait for each of these sessions, without those that have none."""
    waiting = Message.objects.filter(session__in=session_ids, status=Status.QUEUED).order_by()
    return dict(waiting.values_list("session_id").annotate(Count("pk")))


def fail_waiting(*, session: Session) -> int:
    """End what waits for a session that has lost its device; return how many messages there were."""
    waiting = Message.objects.filter(session=session, status=Status.QUEUED)
    return finish_waiting(waiting, error_code="session_unlinked", error=NO_DEVICE)


def expire_due() -> int:
    """End the waiting messages whose time is over, of every session; return how many there were.

    The pools do it every second; cheap when there are none.
    """
    late = Message.objects.filter(status=Status.QUEUED, expires_at__lte=timezone.now())
    if not late.exists():
        return 0
    with transaction.atomic():
        # Several pools do this at the same moment: each takes what no other one has its hands on.
        pks = list(late.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)[:5000])
        ended = Message.objects.filter(pk__in=pks)
        return finish_waiting(ended, error_code="expired", error=TOO_LATE, status=Status.EXPIRED)


def fail_unlinked() -> int:
    """End what waits for sessions without a linked device; return how many there were.

    Repairs the moment between a message's taking and the loss of the device.
    """
    waiting = Message.objects.filter(status=Status.QUEUED, session__jid="")
    if not waiting.exists():
        return 0
    return finish_waiting(waiting, error_code="session_unlinked", error=NO_DEVICE)


def resend(*, message: Message) -> Message:
    """Take the text of a message that did not arrive once more, as a new message of support staff.

    Raises NotResendable; a second call while the first copy waits or went out does nothing else.
    """
    with transaction.atomic():
        message = Message.objects.select_for_update(no_key=True).get(pk=message.pk)
        if message.media_id and not MediaFile.objects.filter(pk=message.media_id, state="kept").exists():
            raise NotResendable(f"the file of message {message.pk} is gone")
        copies = Message.objects.filter(
            session=message.session_id, source=Source.SUPPORT, external_id__startswith=f"resend:{message.pk}:"
        )
        if message.status not in ENDED or copies.exclude(status__in=ENDED).exists():
            raise NotResendable(f"message {message.pk}")
        if message.pruned_at is not None or not (message.text or message.media_id):
            raise NotResendable(f"message {message.pk}")
        name = f"resend:{message.pk}:{copies.count() + 1}"
        new = NewMessage(
            phone=message.phone,
            text=message.text,
            source=Source.SUPPORT,
            external_id=name,
            category=message.category,
            media_id=message.media_id,
        )
        return queue_message(session=message.session, message=new)


def counts(*, session: Session | None = None) -> Counts:
    """Return how many messages stand where, of one session or of all."""
    rows = Message.objects.filter(session=session) if session else Message.objects.all()
    statuses = dict(rows.values_list("status").annotate(Count("pk")).order_by())
    callbacks = dict(rows.values_list("callback_state").annotate(Count("pk")).order_by())
    due = rows.filter(status=Status.QUEUED, not_before__lte=timezone.now())
    return Counts(
        by_status={**dict.fromkeys(Status.values, 0), **statuses},
        callbacks={**dict.fromkeys(CallbackState.values, 0), **callbacks},
        oldest_due_at=due.aggregate(oldest=Min("not_before"))["oldest"],
    )
