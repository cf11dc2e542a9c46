"""What follows from a message that a client wrote: opt-outs, and forwarding it to the salon's own address.

The rows of the messages are the queue (`callback_state` due). A message is locked, processed and marked as
done in one transaction, so each has its effects exactly once, whatever dies in between.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from config.shared.masking import mask_text
from marketplace.inbound import forwarding, opt_out_words, opt_outs
from marketplace.inbound.opt_out_words import Word
from marketplace.models import Company
from marketplace.salons.language import language_of
from whatsapp.messages import conversations, message_queue, numbers
from whatsapp.messages.message_queue import NewMessage
from whatsapp.messages.status_changes import MESSAGE_CALLBACKS
from whatsapp.models import Message

log = structlog.get_logger("inbound")

DAY = timedelta(days=1)
# Two machines that answer each other's answers stop here.
ANSWERS_PER_DAY = 3
UNKNOWN_PHONE = "the client's phone number is not known"

State = Message.CallbackState
INBOUND = replace(
    MESSAGE_CALLBACKS,
    name="inbound",
    where=Q(direction=Message.Direction.IN),
    first=2.0,
    max_attempts=20,
)


def process(message_id: int) -> None:
    """Process one message that is due and that nobody else has; a failure is kept in its row."""
    message = None
    try:
        with transaction.atomic():
            if (message := INBOUND.lock(message_id)) is not None:
                _process(message)
    except Exception as error:
        if message is None:
            raise
        cause = mask_text(repr(error))
        given_up = INBOUND.retry(message, error=cause, count=True)
        log.error("message from a client not processed", message=message_id, given_up=given_up, cause=cause)


def replay(*, message: Message) -> bool:
    """Process a given up message again; False when it was not given up."""
    return bool(INBOUND.replay(INBOUND.given_up().filter(pk=message.pk)))


def _process(message: Message) -> None:
    if not message.phone and message.lid and (phone := numbers.phone_of(message.lid)):
        message.phone = phone
        conversations.name_client(session_id=message.session_id, phone=phone, lid=message.lid)
    companies = list(
        Company.objects.filter(session_id=message.session_id)
        .only("pk", "salon_id", "session_id", "status", "phone", "timezone_name")
        .order_by("pk")
    )
    forwarding.queue(message=message, companies=companies)
    word = opt_out_words.read(message.text)
    if word and companies and not message.phone:
        _postpone(message)
        return
    if word and companies:
        _apply_word(word, message, companies)
    INBOUND.finish(message, phone=message.phone, callback_state=State.DONE, callback_next_at=None)


def _apply_word(word: Word, message: Message, companies: Sequence[Company]) -> None:
    """Opt the client out or in, for every salon of the number, and confirm it when that changed something."""
    change = opt_outs.opt_out if word is Word.STOP else opt_outs.opt_in
    changed = change(
        company_ids=[company.pk for company in companies], phone=message.phone, said_at=message.created_at
    )
    if not changed:
        return
    now = timezone.now()
    answered = Message.objects.filter(
        session_id=message.session_id,
        phone=message.phone,
        source=Message.Source.OPTOUT,
        created_at__gt=now - DAY,
    )
    if answered.count() >= ANSWERS_PER_DAY:
        log.warning("opt-out not confirmed again", message=message.pk, answers=ANSWERS_PER_DAY)
        return
    message_queue.queue_message(
        session=message.session, message=_confirmation(word, message, companies[0], now)
    )


def _confirmation(word: Word, message: Message, company: Company, now: datetime) -> NewMessage:
    with override(language_of(company)):
        text = (
            _(
                "Done: no more advertising or automatic messages from us. Notifications that the salon sends "
                "about your visits may still come. To receive everything again, write START."
            )
            if word is Word.STOP
            else _("Done: you will receive our messages again. To stop them, write STOP.")
        )
    return NewMessage(
        phone=message.phone,
        text=text,
        source=Message.Source.OPTOUT,
        external_id=f"inbound:{message.pk}",
        expires_at=now + DAY,
    )


def _postpone(message: Message) -> None:
    """WhatsApp named the client by his LID alone; his phone comes with one of his next messages."""
    now = timezone.now()
    waited = now - message.created_at
    late = waited > DAY
    INBOUND.finish(
        message,
        callback_state=State.DEAD if late else State.DUE,
        callback_next_at=None if late else now + max(waited, timedelta(seconds=5)),
        callback_error=UNKNOWN_PHONE,
    )
    if late:
        log.error("opt-out not applied", message=message.pk, cause=UNKNOWN_PHONE)
