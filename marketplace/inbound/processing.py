"""Acts on what clients write: opt-outs, and passing it on to the salon's own address.

The rows of the messages are the queue (`callback_state` due). One transaction claims a message, does what
follows from it and marks it done, so each has its effects exactly once, whatever dies in between.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from config.shared import hints
from config.shared.masking import mask_text
from marketplace.inbound import forwarding, opt_out_words, opt_outs
from marketplace.inbound.opt_out_words import Word
from marketplace.models import Company
from marketplace.salons.language import language_of
from whatsapp.messages import message_queue, numbers
from whatsapp.messages.message_queue import NewMessage
from whatsapp.models import Message

log = structlog.get_logger("inbound")

DAY = timedelta(days=1)
# Two machines that answer each other's answers stop here.
ANSWERS_PER_DAY = 3
MOST_FAILURES = 20
LONGEST_PAUSE = 3600  # seconds

State = Message.CallbackState


def due(*, limit: int) -> list[int]:
    """Return ids of messages from clients that are still to be acted on."""
    waiting = Message.objects.filter(
        direction=Message.Direction.IN, callback_state=State.DUE, callback_next_at__lte=timezone.now()
    )
    return list(waiting.order_by("callback_next_at", "pk").values_list("pk", flat=True)[:limit])


def act(message_id: int) -> None:
    """Act on one message that is due and that nobody else has; a failure is kept in its row."""
    try:
        with transaction.atomic():
            message = _claimed(message_id)
            if message is not None:
                _act_on(message)
    except Exception as error:  # noqa: BLE001  whatever it is, it is kept, shown to support staff, tried again
        _keep_failure(message_id, error)


def replay(*, message: Message) -> bool:
    """Act on a given up message again; False when it was not given up."""
    dead = Message.objects.filter(pk=message.pk, direction=Message.Direction.IN, callback_state=State.DEAD)
    changed = dead.update(
        callback_state=State.DUE, callback_attempts=0, callback_error="", callback_next_at=timezone.now()
    )
    hints.wake_workers()
    return bool(changed)


def _claimed(message_id: int) -> Message | None:
    """Return the message, locked until the end of the transaction; None when it is another's or done."""
    free = Message.objects.filter(
        pk=message_id,
        direction=Message.Direction.IN,
        callback_state=State.DUE,
        callback_next_at__lte=timezone.now(),
    )
    return free.select_for_update(skip_locked=True, no_key=True).defer("callback_url").first()


def _act_on(message: Message) -> None:
    if not message.phone and message.lid:
        message.phone = numbers.phone_of(message.lid)
    companies = list(
        Company.objects.filter(session_id=message.session_id)
        .only("pk", "salon_id", "session_id", "status", "phone", "timezone_name")
        .order_by("pk")
    )
    forwarding.keep(message=message, companies=companies)
    word = opt_out_words.read(message.text)
    if word and companies and not message.phone:
        _postpone(message)
        return
    if word and companies:
        _obey(word, message, companies)
    Message.objects.filter(pk=message.pk).update(
        phone=message.phone, callback_state=State.DONE, callback_next_at=None, callback_error=""
    )


def _obey(word: Word, message: Message, companies: Sequence[Company]) -> None:
    """Opt the client out or in, for every salon of the number, and confirm it when it was news."""
    change = opt_outs.opt_out if word is Word.STOP else opt_outs.opt_in
    news = change(
        company_ids=[company.pk for company in companies], phone=message.phone, said_at=message.created_at
    )
    if not news:
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
    """WhatsApp named the client by his LID alone; his phone is told with one of his next messages."""
    now = timezone.now()
    waited = now - message.created_at
    late = waited > DAY
    Message.objects.filter(pk=message.pk).update(
        callback_state=State.DEAD if late else State.DUE,
        callback_next_at=None if late else now + max(waited, timedelta(seconds=5)),
        callback_error="the client's phone number is not known",
    )
    if late:
        log.error("opt-out not taken", message=message.pk, cause="the client's phone number is not known")


def _keep_failure(message_id: int, error: Exception) -> None:
    cause = mask_text(repr(error))[:300]
    row = Message.objects.filter(pk=message_id, callback_state=State.DUE)
    attempts = (row.values_list("callback_attempts", flat=True).first() or 0) + 1
    pause = timedelta(seconds=min(LONGEST_PAUSE, 2 ** min(attempts, 12)))
    row.update(callback_attempts=attempts, callback_error=cause, callback_next_at=timezone.now() + pause)
    dead = row.filter(callback_attempts__gte=MOST_FAILURES)
    given_up = dead.update(callback_state=State.DEAD, callback_next_at=None)
    log.error("message from a client not acted on", message=message_id, given_up=given_up, cause=cause)
