"""Messages in the admin, with the salons they belong to and what YClients was told: what the WhatsApp app
cannot know."""

from dataclasses import replace
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.operations import Operation, Refused
from config.shared.support import Text
from marketplace.admin.sessions import COMPANY_SECRETS, salon_name
from marketplace.admin.waiting import WaitingFilter
from marketplace.inbound import processing, resending
from marketplace.models import Company
from marketplace.notifications import callback_queue
from marketplace.notifications.statuses import DeliveryStatus
from whatsapp.admin.long_lists import LARGEST_NUMBER
from whatsapp.admin.message_operations import RESEND, WITHDRAW
from whatsapp.admin.messages import MessageAdmin
from whatsapp.messages import message_queue
from whatsapp.messages.phone_search import digits_in
from whatsapp.models import Message, Session

REPORTED_WORDS = {
    DeliveryStatus.HANDED_OVER: _("handed to the operator"),
    DeliveryStatus.SENT: _("sent to the phone"),
    DeliveryStatus.DELIVERED: _("delivered"),
    DeliveryStatus.NOT_DELIVERED: _("not delivered"),
    DeliveryStatus.REJECTED: _("rejected by the operator"),
    DeliveryStatus.NO_FUNDS: _("no funds"),
}


def _resend(message: Message, _cause: str) -> None:
    try:
        resending.resend(message)
    except message_queue.NotResendable as error:
        raise Refused(gettext("A copy of it is on its way or has arrived already.")) from error


def _why_not_retry(message: Message) -> Text:
    if message.direction == Message.Direction.IN:
        return _("The client wrote it.")
    if message.callback_state != Message.CallbackState.DEAD:
        return _("Telling it was not given up.")
    if message.pruned_at is not None:
        return _("The address was removed with the text, as its time was over.")
    return ""


def _retry_callback(message: Message, _cause: str) -> None:
    if not callback_queue.replay_dead(ids=[message.pk]):
        raise Refused(gettext("Telling it was not given up."))


def _why_not_process(message: Message) -> Text:
    given_up = message.callback_state == Message.CallbackState.DEAD
    return "" if given_up and message.direction == Message.Direction.IN else _("It was not given up.")


def _process(message: Message, _cause: str) -> None:
    if not processing.replay(message=message):
        raise Refused(gettext("It was not given up."))


WANTED_RESEND = replace(RESEND, perform=_resend, refusal=resending.why_not)
PROCESS_AGAIN = Operation(
    name="process-again",
    label=_("Act on it again"),
    consequence=_(
        "A worker acts on the client's message within seconds, as if it had just come: an opt-out is obeyed, "
        "and the message is forwarded where it was not."
    ),
    perform=_process,
    refusal=_why_not_process,
)
RETRY_CALLBACK = Operation(
    name="retry-callback",
    label=_("Tell YClients again"),
    consequence=_(
        "A worker tells YClients within seconds how the message stands, and tries for another day if it is "
        "not taken. Nothing is sent to the client."
    ),
    perform=_retry_callback,
    refusal=_why_not_retry,
)


class SalonMessageAdmin(MessageAdmin):
    """Messages with their salons."""

    list_filter: ClassVar[Any] = (*MessageAdmin.list_filter, WaitingFilter)

    operations = (WANTED_RESEND, WITHDRAW, RETRY_CALLBACK, PROCESS_AGAIN)
    list_display = [*MessageAdmin.list_display[:1], "salons_and_phone", *MessageAdmin.list_display[2:]]
    search_help_text = _("A phone or its last digits, a salon's name or number, a message's number")
    fieldsets = [
        (None, {"fields": ["salons", *MessageAdmin.fieldsets[0][1]["fields"]]}),
        *MessageAdmin.fieldsets[1:3],
        (
            MessageAdmin.fieldsets[3][0],
            {"fields": ["reported_words", *MessageAdmin.fieldsets[3][1]["fields"]]},
        ),
        *MessageAdmin.fieldsets[4:],
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        deferred = Company.objects.defer(*COMPANY_SECRETS)
        return super().get_queryset(request).prefetch_related(Prefetch("session__companies", deferred))

    def found_by(self, term: str) -> Q:
        """Also by the salon's number or a part of its name."""
        digits = digits_in(term)
        if not digits:
            named = Session.objects.filter(companies__title__icontains=term)
            return self.of_sessions(named) | super().found_by(term)
        if int(digits) > LARGEST_NUMBER:
            return super().found_by(term)
        return super().found_by(term) | self.of_sessions(
            Session.objects.filter(companies__salon_id=int(digits))
        )

    @admin.display(description=_("salons"))
    def salons(self, message: Message) -> str:
        links = [support.link(company, salon_name(company)) for company in message.session.companies.all()]
        return support.joined(links) or support.NOTHING

    @admin.display(description=_("salon, client"))
    def salons_and_phone(self, message: Message) -> str:
        return format_html("{}<br>{}", self.salons(message), self.phone_masked(message))

    def salons_of(self, message: Message) -> str:
        return ", ".join(salon_name(company) for company in message.session.companies.all())

    @admin.display(description=_("was told"))
    def reported_words(self, message: Message) -> str:
        reported = [status for status in REPORTED_WORDS if message.reported & status.flag]
        said = [f"{status.value} {REPORTED_WORDS[status]}" for status in reported]
        return ", ".join(said) or support.NOTHING
