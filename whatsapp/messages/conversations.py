"""Conversations with clients: written as they write and are answered, listed, read.

A conversation is about one client of one session. Automatic messages are part of it but do not move it up.
"""

from contextlib import suppress
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from whatsapp.models import Conversation, Message, Session


def record_received(message: Message) -> None:
    """Note that the client of this stored message wrote, once for each message."""
    if not (message.phone or message.lid) or _advance(message):
        return
    if message.phone and message.lid:
        name_client(session_id=message.session_id, phone=message.phone, lid=message.lid)
        if _advance(message):
            return
    new = Conversation(
        session_id=message.session_id,
        **_key(message),
        last_message=message,
        last_received=message.pk,
        last_at=message.created_at,
        unread=1,
    )
    Conversation.objects.bulk_create([new], ignore_conflicts=True)


def name_client(*, session_id: UUID, phone: str, lid: str) -> None:
    """The client who was known by his LID alone has a phone now, and so have his earlier messages."""
    hidden = Conversation.objects.filter(session=session_id, phone="", lid=lid).first()
    if hidden is None:
        return
    # Two pools may write about one session for a moment.
    with suppress(IntegrityError), transaction.atomic():
        earlier = Message.objects.filter(session=session_id, phone="", lid=lid)
        earlier.filter(direction=Message.Direction.IN).update(phone=phone)
        merged = Conversation.objects.filter(session=session_id, phone=phone).update(
            last_message=Greatest("last_message_id", hidden.last_message_id),
            last_received=Greatest("last_received", hidden.last_received),
            last_at=Greatest("last_at", Value(hidden.last_at)),
            unread=F("unread") + hidden.unread,
        )
        if merged:
            hidden.delete()
        else:
            Conversation.objects.filter(pk=hidden.pk).update(phone=phone, lid="")


def record_answer(*, conversation: Conversation, message: Message) -> None:
    """Move the conversation up: the salon has answered with this message."""
    Conversation.objects.filter(pk=conversation.pk, last_message__lt=message.pk).update(
        last_message=message, last_at=message.created_at
    )


def newest_first(*, session: Session, before: int | None = None, limit: int) -> list[Conversation]:
    """One page of the session's conversations with their `last_message`.

    `before` is the `last_message_id` of the last one of the page before.
    """
    # Between one key and the same: by an equality PostgreSQL may walk the other index on last_message, past
    # what others have written since this session fell silent. Only `conversation_list` lies in this order.
    rows = Conversation.objects.filter(session__gte=session.pk, session__lte=session.pk)
    rows = rows.select_related("last_message").defer("last_message__callback_url")
    rows = rows.order_by("session_id", "-last_message_id")
    return list((rows if before is None else rows.filter(last_message__lt=before))[:limit])


def messages_of(conversation: Conversation, *, before: int | None = None, limit: int) -> list[Message]:
    """The newest messages to and from the client, the newest first; `before` is a message's number."""
    rows = _messages(conversation).select_related("media", "location").order_by("-pk")
    rows = rows.defer("callback_url", "media__key", "media__reference")
    return list((rows if before is None else rows.filter(pk__lt=before))[:limit])


def mark_read(conversation: Conversation, *, up_to: int) -> None:
    """The salon has seen the messages up to this one; does nothing when the client has written since."""
    rows = Conversation.objects.filter(pk=conversation.pk, unread__gt=0, last_received__lte=up_to)
    rows.update(unread=0, read_at=timezone.now())


def unread_count(session: Session) -> int:
    """How many of the session's conversations have something unread."""
    return Conversation.objects.filter(session=session, unread__gt=0).count()


def _messages(conversation: Conversation) -> QuerySet[Message]:
    rows = Message.objects.filter(session=conversation.session_id, phone=conversation.phone)
    return rows if conversation.phone else rows.filter(lid=conversation.lid).exclude(lid="")


def _key(message: Message) -> dict[str, str]:
    return {"phone": message.phone, "lid": "" if message.phone else message.lid}


def _advance(message: Message) -> bool:
    """True when the client has a conversation, which knows of the message now."""
    rows = Conversation.objects.filter(session=message.session_id, **_key(message))
    changed = rows.filter(last_received__lt=message.pk).update(
        last_message=Greatest("last_message_id", message.pk),
        last_received=message.pk,
        last_at=message.created_at,
        unread=F("unread") + 1,
    )
    return bool(changed)
