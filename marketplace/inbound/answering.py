"""The salon answers a client by hand, in its cabinet."""

import uuid
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from config.shared.storable import storable
from marketplace.models import Company, MarketplaceEvent
from marketplace.salons import sending
from whatsapp.media import files
from whatsapp.messages import conversations, message_queue
from whatsapp.models import Conversation, MediaFile, Message

LONGEST_ANSWER = 4096  # characters, as the API takes
GOOD_FOR = timedelta(days=1)


class PhoneHidden(Exception):
    """WhatsApp does not tell the client's number, so nothing can be queued for it."""


class AnsweredAlready(Exception):
    """Another text was queued under this name."""


def answer(
    *,
    company: Company,
    conversation: Conversation,
    text: str,
    name: uuid.UUID,
    by: str,
    file: MediaFile | None = None,
) -> None:
    """Queue the answer, with a file that was just stored, and write into the salon's events that `by` did;
    a repeat of `name` does nothing.

    An opt-out does not stop it: a person answers what the client wrote. Raises sending.CannotSend,
    PhoneHidden, and AnsweredAlready where the repeat has another text.
    """
    with transaction.atomic():
        # Locked against a freeze, and a second press, of this very moment.
        company = Company.objects.select_for_update(of=("self",), no_key=True).get(pk=company.pk)
        session = sending.session_of(company)
        if not conversation.phone:
            raise PhoneHidden
        new = message_queue.NewMessage(
            phone=conversation.phone,
            text=storable(text),
            source=Message.Source.CABINET,
            external_id=f"{company.salon_id}:{name.hex}",
            expires_at=timezone.now() + GOOD_FOR,
        )
        named = Message.objects.filter(session=session, source=new.source, external_id=new.external_id)
        if (earlier := named.select_related("media").first()) is not None:
            if file is not None:
                files.drop(file.stored_name)
            size = earlier.media.size if earlier.media else 0
            if (earlier.phone, earlier.text, size) != (new.phone, new.text, file.size if file else 0):
                raise AnsweredAlready
            return
        message = (
            message_queue.queue_with_file(session=session, message=new, file=file)
            if file
            else message_queue.queue_message(session=session, message=new)
        )
        conversations.record_answer(conversation=conversation, message=message)
        company.note(MarketplaceEvent.Type.CLIENT_ANSWERED, by=by, message=message.pk)
