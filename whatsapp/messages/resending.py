"""Whether a message may be sent again, in words for who asks."""

from django.utils.translation import gettext as _

from whatsapp.messages import message_queue
from whatsapp.models import Message

Status = Message.Status


def why_not(message: Message) -> str:
    """Why the message cannot be sent again; empty when it can. Reads nothing."""
    if message.direction == Message.Direction.IN:
        return _("The client wrote it.")
    if message.status in (Status.QUEUED, Status.SENDING):
        return _("It is on its way.")
    if message.status not in message_queue.ENDED:
        return _("WhatsApp has taken it. A copy would reach the client twice.")
    if message.pruned_at is not None or not (message.text or message.media_id):
        return _("Its text was removed, as its time was over.")
    return ""
