"""Sending a message again that did not arrive, unless its client wants none; for support and the salon."""

from django.db import transaction
from django.utils.translation import gettext as _

from marketplace.inbound import opt_outs
from marketplace.models import Company
from whatsapp.messages import message_queue, resending
from whatsapp.messages.message_queue import NotResendable
from whatsapp.models import Message


def why_not(message: Message) -> str:
    """Why the message cannot be sent again, in words; empty when it can."""
    if refusal := resending.why_not(message):
        return refusal
    if message.category != Message.Category.ADDS and message.source not in opt_outs.OWN_SOURCES:
        return ""
    salons = list(Company.objects.filter(session=message.session_id).values_list("pk", flat=True))
    service = message.category == Message.Category.SERVICE
    unwanted = opt_outs.opted_out(company_ids=salons, phone=message.phone, everything=service)
    return _("The client has opted out.") if unwanted else ""


def resend(message: Message) -> Message:
    """Queue the message's text once more and return the copy; calls at the same time make one copy.

    Raises NotResendable, its text the reason where that is known.
    """
    with transaction.atomic():
        # An opt-out of this very moment locks the salons too, and then ends the copy.
        salons = Company.objects.select_for_update(of=("self",), no_key=True).order_by("pk")
        list(salons.filter(session=message.session_id).values_list("pk", flat=True))
        if refusal := why_not(message):
            raise NotResendable(refusal)
        return message_queue.resend(message=message)
