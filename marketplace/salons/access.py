"""Power over a salon for somebody who is not its owner: by support, or by the salon's own WhatsApp."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from marketplace.models import AccessRequest, Company, MarketplaceEvent
from marketplace.salons import ownership
from marketplace.salons.language import language_of
from whatsapp.crypto.encryption import lookup_digest
from whatsapp.messages import message_queue
from whatsapp.messages.message_queue import NewMessage
from whatsapp.models import Message

log = structlog.get_logger("marketplace")

POWER_LASTS = timedelta(hours=1)
LINK_LASTS = timedelta(minutes=10)
LINK_PATH = "/auth/yclients/access"
LINK_MESSAGE = "access:"  # the external ids of messages that carry links begin so
CABINET_LINK_PATH = "/cabinet/link"
CABINET_HOLDER = "cabinet:"  # and a random number: such a request is nobody's at YClients
MOST_CABINET_LINKS_A_DAY = 6  # of one salon; anybody may ask for them
MOST_LINKS, LINKS_WITHIN = 3, timedelta(hours=1)  # of one salon, whoever asks
BETWEEN_LINKS = timedelta(minutes=1)

Event = MarketplaceEvent.Type


class NotPossible(Exception):
    """The link cannot be sent or used; `code` is one of `not_connected`, `too_many`, `ended`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def may_send_link(company: Company) -> bool:
    """The salon's own WhatsApp is connected, and messages go out."""
    session = company.session
    return bool(
        session is not None
        and session.is_connected
        and session.phone
        and not session.sending_paused
        and not company.disputed_at
    )


def send_link(request: AccessRequest) -> str:
    """Send a one-time link to the salon's own WhatsApp; return the phone's digits.

    Raises NotPossible: the salon is not connected any more, or had its links for this hour.
    """
    with transaction.atomic():
        company = Company.objects.select_for_update(of=("self",)).get(pk=request.company_id)
        if request.closed_at or not ownership.is_settled(company):
            raise NotPossible("ended")
        return _queue_link(company, request, _text, by="page")


def send_cabinet_link(salon_id: int) -> None:
    """Send a one-time link to the cabinet to the WhatsApp of a salon whose number somebody has typed.

    Each link is a request of its own, so that a stranger's does not end the power of one that is in use.
    Raises NotPossible: no such salon, not connected, or too many links within the hour or the day.
    """
    now = timezone.now()
    with transaction.atomic():
        company = Company.objects.select_for_update(of=("self",)).filter(salon_id=salon_id).first()
        if company is None or not ownership.is_settled(company):
            raise NotPossible("ended")
        asked = AccessRequest.objects.filter(company=company, holder__startswith=CABINET_HOLDER)
        asked.filter(asked_at__lt=now - timedelta(days=1)).delete()
        if asked.count() >= MOST_CABINET_LINKS_A_DAY:
            raise NotPossible("too_many")
        request = AccessRequest.objects.create(
            company=company, holder=f"{CABINET_HOLDER}{secrets.token_hex(16)}", asked_at=now
        )
        _queue_link(company, request, _cabinet_text, by="cabinet")


def _queue_link(
    company: Company, request: AccessRequest, text: Callable[[Company, AccessRequest, str], str], *, by: str
) -> str:
    """Queue the message with a new link of `request`, the company locked; return the phone's digits."""
    session = company.session
    if session is None or not may_send_link(company):
        raise NotPossible("not_connected")
    now = timezone.now()
    sent = MarketplaceEvent.objects.filter(
        salon_id=company.salon_id, event_type=Event.ACCESS_LINK_SENT, created_at__gt=now - LINKS_WITHIN
    )
    if sent.count() >= MOST_LINKS or sent.filter(created_at__gt=now - BETWEEN_LINKS).exists():
        raise NotPossible("too_many")
    token = secrets.token_urlsafe(32)
    AccessRequest.objects.filter(pk=request.pk).update(
        link_digest=lookup_digest(token),
        link_expires_at=now + LINK_LASTS,
        link_sent_at=now,
        link_used_at=None,
    )
    event = company.note(Event.ACCESS_LINK_SENT, by=by, user_id=request.user_id)
    message = NewMessage(
        phone=session.phone,
        text=text(company, request, token),
        source=Message.Source.SUPPORT,
        external_id=f"{LINK_MESSAGE}{request.pk}:{event.pk}",
        expires_at=now + LINK_LASTS,
    )
    message_queue.queue_message(session=session, message=message)
    log.info("access link sent", salon_id=company.salon_id, request=request.pk)
    return session.phone


def _cabinet_text(company: Company, _request: AccessRequest, token: str) -> str:
    with translation.override(language_of(company)):
        return _(
            "Somebody asks for the cabinet of “%(salon)s”. If that is you, open this link within 10 minutes, "
            "on the device on which you want to use it:\n%(link)s\nOtherwise do nothing: without the link "
            "nobody gets in. Do not forward it."
        ) % {
            "salon": company.title or company.salon_id,
            "link": f"{settings.BASE_URL}{CABINET_LINK_PATH}?{urlencode({'link': token})}",
        }


def _text(company: Company, request: AccessRequest, token: str) -> str:
    with translation.override(language_of(company)):
        return _(
            "%(name)s asks for access to WhatsApp of “%(salon)s” in YClients. If that is you or somebody you "
            "trust with it, open this link within 10 minutes:\n%(link)s\nOtherwise do nothing: without the "
            "link nobody gets access. Do not forward it."
        ) % {
            "name": request.user_name or _("A YClients user"),
            "salon": company.title or company.salon_id,
            "link": f"{settings.BASE_URL}{LINK_PATH}?{urlencode({'link': token})}",
        }


def find_link(token: str) -> AccessRequest:
    """Return the request of an unused link. Raises NotPossible for any other text."""
    found = (
        AccessRequest.objects.select_related("company")
        .filter(
            link_digest=lookup_digest(token[:100]),
            link_expires_at__gt=timezone.now(),
            link_used_at__isnull=True,
            closed_at__isnull=True,
        )
        .first()
    )
    if found is None or not ownership.is_settled(found.company):
        raise NotPossible("ended")
    return found


def use_link(token: str) -> AccessRequest:
    """Use the link up: its bearer has power over the salon for an hour. Raises NotPossible."""
    with transaction.atomic():
        request = find_link(token)
        used = AccessRequest.objects.filter(
            pk=request.pk, link_digest=request.link_digest, link_used_at__isnull=True
        ).update(link_used_at=timezone.now(), link_digest=None)
        if not used:
            raise NotPossible("ended")
        request.company.note(Event.ACCESS_LINK_USED, by="salon's WhatsApp", user_id=request.user_id)
    forget_link(request)
    log.info("access link used", salon_id=request.company.salon_id, request=request.pk)
    return request


def forget_link(request: AccessRequest) -> None:
    """Remove the texts in which links of this request travelled to WhatsApp."""
    Message.objects.filter(
        session__companies=request.company_id,
        source=Message.Source.SUPPORT,
        external_id__startswith=f"{LINK_MESSAGE}{request.pk}:",
    ).exclude(text="").update(text="", pruned_at=timezone.now())


def expired(*, limit: int) -> list[int]:
    """Return ids of requests whose link has run out unused."""
    over = AccessRequest.objects.filter(link_digest__isnull=False, link_expires_at__lte=timezone.now())
    return list(over.order_by("link_expires_at")[:limit].values_list("pk", flat=True))


def expire(request_id: int) -> None:
    """Forget a link that has run out, here and in the message that it travelled in."""
    request = AccessRequest.objects.get(pk=request_id)
    if request.link_expires_at and request.link_expires_at <= timezone.now():
        forget_link(request)
        AccessRequest.objects.filter(pk=request_id, link_digest=request.link_digest).update(link_digest=None)


def approve(request: AccessRequest, *, by: str) -> None:
    """Support lets the user in: for an hour, or for good where the salon is disputed. One transaction."""
    with transaction.atomic():
        company = Company.objects.select_for_update(of=("self",)).get(pk=request.company_id)
        now = timezone.now()
        AccessRequest.objects.filter(pk=request.pk).update(
            approved_until=now + POWER_LASTS, approved_by=by[:255], closed_at=now
        )
        if ownership.is_settled(company) and not company.disputed_at:
            company.note(Event.ACCESS_APPROVED, by=by, user_id=request.user_id)
        else:
            ownership.give_by_support(company, request, by=by)


def has_power(company: Company, *, holder: str, request_id: int | None) -> bool:
    """The bearer of a token may act for the salon: its owner, a user approved by support, or somebody who
    opened the one-time link within the last hour."""
    if request_id is not None:
        opened = AccessRequest.objects.filter(
            pk=request_id, company=company, link_used_at__gt=timezone.now() - POWER_LASTS
        )
        return opened.exists()
    owner = ownership.digest_of(ownership.owner_of(company))
    return owner == holder or ownership.is_approved(company, holder)
