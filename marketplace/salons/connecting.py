"""What becomes of a salon's row and of its WhatsApp session when the salon begins to be connected.

Everything here runs in the caller's transaction, the company locked.
"""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from marketplace.models import Company, MarketplaceEvent
from marketplace.salons import clock, lifecycle, ownership
from marketplace.salons.installation import Answer
from marketplace.salons.ownership import Visitor
from whatsapp.models import Session
from whatsapp.sessions import services

# An activation that ended this lately may not yet be in what YClients answered us before.
SETTLED_AFTER = timedelta(minutes=1)

Status = Company.Status


def note(company: Company, who: dict[str, Any]) -> None:
    """Note that a link named this salon; `who` says whose link."""
    company.note(MarketplaceEvent.Type.REGISTRATION_STARTED, **who, status_before=company.status)


def begin(company: Company, visitor: Visitor, answer: Answer, who: dict[str, Any]) -> None:
    """Note the registration and move the salon to where YClients says it is."""
    session, zone = company.session, company.timezone_name
    now = timezone.now()
    before = company.status
    details = answer.details if company.salon_id == answer.salon_id else {}
    changes: dict[str, Any] = {**details, "registered_at": now}
    if before == Status.FROZEN and answer.says(company, "active"):
        company.move(to=Status.ACTIVE, sources=[before], frozen_at=None, activation_next_at=None, **changes)
        company.note(MarketplaceEvent.Type.UNFROZEN, by="registration")
    elif before == Status.ACTIVATING:
        company.move(to=before, sources=[before], activation_next_at=now, **changes)
    elif before in (Status.ACTIVE, Status.FROZEN) and not _reinstalled(company, answer):
        company.move(to=before, sources=[before], **changes)
    else:
        company.move(to=Status.PENDING_WHATSAPP, sources=[before], **{**fresh(company, visitor), **changes})
    company.session = session
    if before == Status.FROZEN:
        lifecycle.settle_sending(company)
    company.note(MarketplaceEvent.Type.REGISTRATION_STARTED, **who, status_before=before)
    clock.follow(company, before=zone)


def _reinstalled(company: Company, answer: Answer) -> bool:
    """YClients waits for a key although we hold one: the application was removed and no word reached us."""
    settled = company.activated_at is None or company.activated_at < answer.asked_at - SETTLED_AFTER
    return settled and answer.says(company, "pending")


def fresh(company: Company, visitor: Visitor) -> dict[str, Any]:
    """Changes for a salon that is to be connected; a key that YClients may have taken is kept."""
    changes: dict[str, Any] = {
        **ownership.give(company, visitor),
        "activation_attempts": 0,
        "activation_next_at": None,
        "activation_error": "",
        "redirect_url": "",
        "frozen_at": None,
    }
    if not company.title and visitor.user.salon_name:
        changes["title"] = visitor.user.salon_name
    if company.status in (Status.ACTIVE, Status.FROZEN):
        changes.update(Company.WITHOUT_SECRETS)
    return changes


def own_session(company: Company) -> Session:
    """The salon's session, a new one where it has none that can link a phone."""
    session = company.session
    if session is None or session.wanted == Session.Wanted.UNLINKED:
        session = services.create_session()
        Company.objects.filter(pk=company.pk).update(session=session)
        company.session = session
    return session


def may_join(company: Company) -> bool:
    """The salon is still to be connected and has no linked device of its own."""
    waiting = (Status.PENDING_WHATSAPP, Status.ACTIVATION_FAILED, Status.UNINSTALLED)
    return company.status in waiting and not is_linked(company)


def is_linked(company: Company) -> bool:
    """A phone is linked to the salon's session, and is to stay so."""
    session = company.session
    return session is not None and session.is_linked and session.wanted != Session.Wanted.UNLINKED


def join(company: Company, session: Session) -> None:
    """Let the salon share `session`; within the caller's transaction, the company locked."""
    old = company.session
    Company.objects.filter(pk=company.pk).update(session=session, unlinked_at=None)
    company.session = session
    if old is not None and old != session:
        # Nobody's any more: a phone that scans its code now must not stay linked.
        if not old.companies.exists() and old.wanted != Session.Wanted.UNLINKED:
            services.unlink(session=old, reason="its salons moved to another session")
        services.mark_changed(session=old)
    services.mark_changed(session=session)
