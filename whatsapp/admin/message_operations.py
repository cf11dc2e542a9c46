"""What support staff can do to a message."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared.operations import Operation, Refused
from config.shared.support import Text
from whatsapp.messages import message_queue, resending
from whatsapp.models import Message

Status = Message.Status


def _resend(message: Message, _cause: str) -> None:
    try:
        message_queue.resend(message=message)
    except message_queue.NotResendable as error:
        raise Refused(gettext("A copy of it is on its way or has arrived already.")) from error


def _withdraw(message: Message, cause: str) -> None:
    waiting = Message.objects.filter(pk=message.pk)
    if not message_queue.finish_waiting(waiting, error_code="withdrawn", error=cause):
        raise Refused(gettext("It has just gone out."))


def _why_not_withdraw(message: Message) -> Text:
    return "" if message.status == Status.QUEUED else _("It does not wait any more.")


RESEND = Operation(
    name="resend",
    label=_("Send again"),
    consequence=_(
        "The same text goes to the same client once more, as a new message of support staff, as soon as the "
        "salon's WhatsApp can send. If the outcome of the first one is unknown, the client may get it twice. "
        "YClients is told nothing of the copy."
    ),
    perform=_resend,
    refusal=resending.why_not,
)
WITHDRAW = Operation(
    name="withdraw",
    label=_("Withdraw message"),
    consequence=_(
        "The message that waits is not sent. Who asked for it is told that it was not delivered. This cannot "
        "be undone, but the message can be sent again."
    ),
    perform=_withdraw,
    refusal=_why_not_withdraw,
    destructive=True,
)
