"""The salon answers a client by hand, in its cabinet."""

import uuid
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from marketplace.models import Company
from whatsapp.messages import conversations, message_queue
from whatsapp.models import Conversation, Message, Session

LONGEST_ANSWER = 4096  # characters, as the API takes
GOOD_FOR = timedelta(days=1)


class NotPossible(Exception):
    """No answer can be sent; `code` is one of `frozen`, `not_connected`, `no_phone`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def answer(*, company: Company, conversation: Conversation, text: str, name: uuid.UUID) -> Message:
    """Queue the answer and return its row; a repeat of `name` returns the first one. Raises NotPossible.

    An opt-out does not stop it: a person answers what the client wrote.
    """
    with transaction.atomic():
        # Locked against a freeze of this very moment.
        company = Company.objects.select_for_update(of=("self",), no_key=True).get(pk=company.pk)
        session = session_of(company)
        if not conversation.phone:
            raise NotPossible("no_phone")
        new = message_queue.NewMessage(
            phone=conversation.phone,
            text=text,
            source=Message.Source.CABINET,
            external_id=f"{company.salon_id}:{name.hex}",
            expires_at=timezone.now() + GOOD_FOR,
        )
        message = message_queue.queue_message(session=session, message=new)
        conversations.record_answer(conversation=conversation, message=message)
    return message


def session_of(company: Company) -> Session:
    """The session that answers go out by. Raises NotPossible."""
    if company.status == Company.Status.FROZEN:
        raise NotPossible("frozen")
    if company.status != Company.Status.ACTIVE or company.session is None or not company.session.is_linked:
        raise NotPossible("not_connected")
    return company.session
