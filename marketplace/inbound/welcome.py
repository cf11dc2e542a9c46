"""The welcome: one message to the salon's own number after its first activation.

It is queued in the transaction that marks the salon as welcomed, so it is neither lost nor sent twice: not
after a reinstall, not for a second branch on the same number.
"""

import re
from datetime import timedelta

import structlog
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from marketplace.models import Company
from marketplace.models.welcome import WelcomeText
from marketplace.salons.language import language_of
from whatsapp.messages import message_queue
from whatsapp.messages.message_queue import NewMessage
from whatsapp.models import Message

log = structlog.get_logger("welcome")

# Later than that it is no welcome any more.
WITHIN = timedelta(days=2)
PLACEHOLDER = "{salon}"
DEFAULT_TEXTS = {
    "ru": (
        "Здравствуйте! WhatsApp подключён к YClients: {salon}.\n\n"
        "Что уже работает: уведомления YClients (подтверждения, напоминания, рассылки) уходят клиентам "
        "с этого номера, а их ответы приходят сюда, в ваш WhatsApp.\n\n"
        "Как попробовать: включите в YClients отправку уведомлений через WhatsApp и запишите себя на визит с "
        "другим номером телефона. Подтверждение придёт на него через несколько секунд.\n\n"
        "Если что-то не так: откройте наше приложение в маркетплейсе YClients. На его странице видно, "
        "подключён ли WhatsApp и что сделать; там же можно написать в поддержку.\n\n"
        "Не удаляйте нас из «Связанных устройств» на телефоне: через это устройство уходят сообщения."
    ),
    "en": (
        "Hello! WhatsApp is connected to YClients: {salon}.\n\n"
        "What works now: notifications of YClients (confirmations, reminders, mailings) reach clients from "
        "this number, and their answers come here, to your WhatsApp.\n\n"
        "How to try it: switch on notifications by WhatsApp in YClients and book a visit for yourself with "
        "another phone number. The confirmation arrives there within seconds.\n\n"
        "If something is wrong: open our application in the YClients marketplace. Its page shows whether "
        "WhatsApp is connected and what to do, and you can write to support from there.\n\n"
        "Please keep us among the “Linked devices” on your phone: messages go out through that device."
    ),
}


def text_for(*, language: str, salon: str) -> str:
    """Return the welcome in this language, as support has worded it, or in our own words."""
    row = WelcomeText.objects.filter(language=language).first()
    return filled_in(row.text if row else DEFAULT_TEXTS[language], salon=salon)


def filled_in(text: str, *, salon: str) -> str:
    """Return the text with the salon's name in its place."""
    return text.replace(PLACEHOLDER, salon)


def check_text(text: str) -> None:
    """Raises ValidationError for a text with something in braces that is not the salon's name."""
    if unknown := [found for found in re.findall(r"\{[^{}]*\}", text) if found != PLACEHOLDER]:
        raise ValidationError(_("Only {salon} is filled in, not %(name)s."), params={"name": unknown[0]})


def due(*, limit: int) -> list[int]:
    """Return ids of salons that have just become active for the first time."""
    return list(_fresh().order_by("activated_at").values_list("pk", flat=True)[:limit])


def send(company_id: int) -> bool:
    """Queue the welcome of one salon; False when it was welcomed already, or its number was."""
    with transaction.atomic():
        rows = _fresh().select_related("session").defer("session__qr", "session__pairing_code")
        company = rows.select_for_update(of=("self",), no_key=True).filter(pk=company_id).first()
        if company is None or company.session is None:
            return False
        number_knows_us = _was_welcomed(company.session.phone)
        now = timezone.now()
        if not _fresh().filter(pk=company.pk).update(welcomed_at=now) or number_knows_us:
            return False
        text = text_for(language=language_of(company), salon=_names(company))
        new = NewMessage(
            phone=company.session.phone,
            text=text,
            source=Message.Source.WELCOME,
            # Branches that were registered together are welcomed by one message, whoever comes first.
            external_id=f"welcome:{company.session.phone}",
            expires_at=now + WITHIN,
        )
        message_queue.queue_message(session=company.session, message=new)
    log.info("salon welcomed", salon_id=company.salon_id)
    return True


def _fresh() -> QuerySet[Company]:
    return Company.objects.filter(
        status=Company.Status.ACTIVE,
        welcomed_at__isnull=True,
        activated_at__gt=timezone.now() - WITHIN,
        session__isnull=False,
    ).exclude(Q(session__jid="") | Q(session__phone=""))


def _was_welcomed(phone: str) -> bool:
    """Whether the number was welcomed for another salon, on this session or an earlier one."""
    welcomes = Message.objects.filter(phone=phone, source=Message.Source.WELCOME)
    return (
        welcomes.exists() or Company.objects.filter(welcomed_at__isnull=False, session__phone=phone).exists()
    )


def _names(company: Company) -> str:
    """The names of the salons that the number stands for."""
    sharing = Company.objects.filter(session__companies=company.pk).order_by("pk")
    named = [title or str(number) for title, number in sharing.values_list("title", "salon_id")]
    return ", ".join(named)
