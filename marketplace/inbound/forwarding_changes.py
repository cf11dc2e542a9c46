"""Changes of the address that clients' messages are forwarded to: written down, approved, told to the salon.

Whoever sets the address reads everything that a salon's clients write. So both hosts go into the salon's
history, the salon hears of it on its own WhatsApp, and with FORWARDING_SECOND_APPROVER a second person has to
agree. Paths and queries of addresses may hold tokens and are never shown.
"""

from datetime import timedelta
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from marketplace.inbound.forwarding_post import new_secret
from marketplace.models import Company, MarketplaceEvent
from marketplace.models.forwarding import ForwardedMessage, Forwarding, ForwardingChange
from marketplace.salons.language import language_of
from whatsapp.messages import message_queue
from whatsapp.messages.message_queue import NewMessage
from whatsapp.models import Message

log = structlog.get_logger("forwarding")

NOTICE_GOOD_FOR = timedelta(days=2)
TEXTS = {
    "ru": (
        "Изменён адрес, на который пересылаются сообщения ваших клиентов: {before} → {after}. "
        "Если вы об этом не просили, напишите в поддержку приложения."
    ),
    "en": (
        "The address to which your clients' messages are forwarded has changed: {before} → {after}. "
        "If you did not ask for this, write to the application's support."
    ),
}
NO_HOST = "–"
OFF = "forwarding is switched off"

State = ForwardingChange.State


class SamePerson(Exception):
    """Who asked for a change cannot be the second person who approves it."""


class Decided(Exception):
    """The change is not waiting any more."""


def set_address(*, forwarding: Forwarding, url: str, enabled: bool) -> None:
    """Deliver to another address from now on, or nowhere: what waits then is given up until a replay."""
    with transaction.atomic():
        row = Forwarding.objects.select_for_update(no_key=True).get(pk=forwarding.pk)
        row.url, row.enabled = url, enabled
        row.paused_until, row.failures, row.last_error = None, 0, ""
        row.save(update_fields=["url", "enabled", "paused_until", "failures", "last_error", "updated_at"])
        if not enabled:
            waiting = ForwardedMessage.objects.filter(forwarding=row, state=ForwardedMessage.State.DUE)
            waiting.update(state=ForwardedMessage.State.DEAD, last_error=OFF)


def renew_secret(*, forwarding: Forwarding, by: str) -> str:
    """Replace the secret and return the new one; every delivery from now on is signed with it."""
    secret = new_secret()
    with transaction.atomic():
        row = Forwarding.objects.select_for_update(no_key=True).get(pk=forwarding.pk)
        row.secret = secret
        row.save(update_fields=["secret", "updated_at"])
        row.company.note(MarketplaceEvent.Type.FORWARDING_SECRET_RENEWED, by=by)
    return secret


def request_change(*, row: Forwarding, url: str, enabled: bool, by: str) -> ForwardingChange | None:
    """Change the address or switch it on or off; return the change of the address, if there is one.

    `by` is "support: <user name>", "API key: <prefix>" or "cabinet". A change that waits for a second person
    has the state `waiting`, and the old address stays in force until then.
    """
    with transaction.atomic():
        current = Forwarding.objects.select_for_update(no_key=True).get(pk=row.pk)
        if url == current.url:
            set_address(forwarding=current, url=url, enabled=enabled)
            if enabled != current.enabled:
                current.company.note(
                    MarketplaceEvent.Type.FORWARDING_SWITCHED, by=by, enabled=enabled, host=host_of(url)
                )
            return None
        waiting = current.changes.filter(state=State.WAITING)
        waiting.update(state=State.REPLACED, decided_by=by[:200], decided_at=timezone.now())
        change = ForwardingChange.objects.create(
            forwarding=current,
            url=url,
            enabled=enabled,
            host_before=host_of(current.url),
            host_after=host_of(url),
            requested_by=by[:200],
        )
        if not settings.FORWARDING_SECOND_APPROVER:
            _apply(change, approved_by="")
    return change


def approve(*, change: ForwardingChange, by: str) -> None:
    """Put a waiting change into force. `by` is "support: <user name>", with a reason after another colon.

    Raises SamePerson for the one who asked for it, Decided when it is not waiting any more.
    """
    if by == change.requested_by or by.startswith(f"{change.requested_by}:"):
        raise SamePerson
    with transaction.atomic():
        _apply(_locked(change), approved_by=by)


def reject(*, change: ForwardingChange, by: str) -> None:
    """Drop a waiting change. Raises Decided when it is not waiting any more."""
    with transaction.atomic():
        row = _locked(change)
        row.state, row.decided_by, row.decided_at = State.REJECTED, by[:200], timezone.now()
        row.save(update_fields=["state", "decided_by", "decided_at"])


def host_of(url: str) -> str:
    """The host of an address, which may be shown; empty without an address."""
    return urlsplit(url).hostname or ""


def _locked(change: ForwardingChange) -> ForwardingChange:
    row = ForwardingChange.objects.select_for_update().filter(pk=change.pk, state=State.WAITING).first()
    if row is None:
        raise Decided
    return row


def _apply(change: ForwardingChange, *, approved_by: str) -> None:
    change.state, change.decided_by, change.decided_at = State.APPLIED, approved_by[:200], timezone.now()
    change.save(update_fields=["state", "decided_by", "decided_at"])
    set_address(forwarding=change.forwarding, url=change.url, enabled=change.enabled)
    company = change.forwarding.company
    company.note(
        MarketplaceEvent.Type.FORWARDING_CHANGED,
        by=change.requested_by,
        approved_by=approved_by,
        host_before=change.host_before,
        host_after=change.host_after,
    )
    _notify_salon(company, change)
    log.info("forwarding address changed", salon_id=company.salon_id, host=change.host_after)


def _notify_salon(company: Company, change: ForwardingChange) -> None:
    """Queue the notice to the salon's own number; without a linked number there is nobody to tell."""
    session = company.session
    if session is None or not session.phone:
        return
    text = TEXTS[language_of(company)].format(
        before=change.host_before or NO_HOST, after=change.host_after or NO_HOST
    )
    notice = NewMessage(
        phone=session.phone,
        text=text,
        source=Message.Source.SUPPORT,
        external_id=f"forwarding:{change.pk}",
        expires_at=timezone.now() + NOTICE_GOOD_FOR,
    )
    message_queue.queue_message(session=session, message=notice)
