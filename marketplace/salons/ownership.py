"""To whom a salon belongs, and what a link from the marketplace gives its bearer.

The signature of a link proves a YClients user, not a right over the salon that the link names. So a salon
belongs to the first signed user who comes for it, and once it was activated it stays with that user.
Everybody else needs the salon's own WhatsApp or support (see `access`). What is decided here is written under
the company's lock by the caller.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog
from django.conf import settings
from django.utils import timezone

from marketplace.models import AccessRequest, Company, MarketplaceEvent
from marketplace.yclients.signing import MarketplaceUser
from whatsapp.crypto.encryption import lookup_digest
from whatsapp.models import Session
from whatsapp.sessions import services

log = structlog.get_logger("marketplace")

Status = Company.Status
Event = MarketplaceEvent.Type


class Verdict(StrEnum):
    """What a link gives its bearer over one salon."""

    POWER = "power"
    NOT_SIGNED = "not_signed"
    OTHER_OWNER = "other_owner"
    DISPUTED = "disputed"
    SECOND_USER = "second_user"  # the salon was given to another user and not activated yet: a dispute begins


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who comes by a link; without a signature nothing is known of the person."""

    user: MarketplaceUser
    signed: bool

    @property
    def holder(self) -> str:
        """Digest of the person's identity, as tokens and access requests carry it; empty when unknown."""
        return digest_of(self.user) if self.signed else ""


def digest_of(user: MarketplaceUser) -> str:
    """Return a digest of the user's number at YClients, else e-mail, else phone; empty without any."""
    identity = user.id or user.email or user.phone
    return lookup_digest(f"marketplace-user:{identity}")[:32] if identity else ""


def owner_of(company: Company) -> MarketplaceUser:
    """The user to whom the salon belongs; all fields are empty while it belongs to nobody."""
    return MarketplaceUser(
        id=company.marketplace_user_id,
        name=company.marketplace_user_name,
        phone=company.marketplace_user_phone,
        email=company.marketplace_user_email,
    )


def is_settled(company: Company) -> bool:
    """The salon was activated since it was last installed, is being activated, or support has decided."""
    if company.status == Status.UNINSTALLED:
        return False
    if company.status in (Status.ACTIVE, Status.FROZEN, Status.ACTIVATING) or company.owner_confirmed_at:
        return True
    activated, removed = company.activated_at, company.uninstalled_at
    return activated is not None and (removed is None or removed < activated)


def judge(company: Company, visitor: Visitor, *, installation: str | None) -> Verdict:
    """Say what the link gives `visitor` over the salon; changes nothing.

    `installation` is YClients' word (`pending`, `active`, …), None where it could not be asked.
    """
    owner, holder = digest_of(owner_of(company)), visitor.holder
    if not visitor.signed:
        # Whatever the settings say, such a link gives nothing over a salon that was ever activated or given.
        used = company.activated_at is not None or company.status in (Status.ACTIVE, Status.FROZEN)
        return Verdict.NOT_SIGNED if used or owner else Verdict.POWER
    if company.status == Status.UNINSTALLED:
        installed_anew = installation == "pending" or not settings.YCLIENTS_VERIFY_INSTALLATION
        return Verdict.POWER if installed_anew or owner in ("", holder) else Verdict.OTHER_OWNER
    if company.disputed_at:
        return Verdict.DISPUTED
    if owner and owner == holder:
        return Verdict.POWER
    if is_settled(company):
        return Verdict.POWER if is_approved(company, holder) else Verdict.OTHER_OWNER
    return Verdict.SECOND_USER if owner else Verdict.POWER


def is_approved(company: Company, holder: str) -> bool:
    """Support has approved this user for this salon within the last hour."""
    approved = AccessRequest.objects.filter(company=company, holder=holder, approved_until__gt=timezone.now())
    return bool(holder) and approved.exists()


def give(company: Company, visitor: Visitor) -> dict[str, Any]:
    """Return the changes that give an unsettled salon to its signed visitor; none for all others."""
    if not visitor.signed or is_settled(company):
        return {}
    user = visitor.user
    return {
        "marketplace_user_id": user.id,
        "marketplace_user_name": user.name,
        "marketplace_user_phone": user.phone,
        "marketplace_user_email": user.email,
        "owner_confirmed_at": None,
        "disputed_at": None,
    }


def dispute(company: Company, visitor: Visitor) -> None:
    """A second signed user came before the salon was activated: nobody links it until support decides.

    Runs in the caller's transaction, the company locked. A pairing under way is stopped, and a phone that
    was linked a moment ago is taken off line.
    """
    company.move(to=company.status, sources=[company.status], disputed_at=timezone.now())
    first = Visitor(owner_of(company), signed=True)
    record_request(company, first)
    record_request(company, visitor)
    company.note(Event.OWNERSHIP_DISPUTED, by="registration", given_to=first.user.id, user_id=visitor.user.id)
    if company.session is not None:
        services.stop_linking(session=company.session, reason=f"two users came for salon {company.salon_id}")
    log.warning("salon disputed", salon_id=company.salon_id)


def record_request(company: Company, visitor: Visitor) -> AccessRequest:
    """Keep that this user wants power over the salon; a repeat moves the time on."""
    user, now = visitor.user, timezone.now()
    request, made = AccessRequest.objects.update_or_create(
        company=company,
        holder=visitor.holder,
        defaults={
            "user_id": user.id,
            "user_name": user.name,
            "user_phone": user.phone,
            "user_email": user.email,
            "asked_at": now,
            "closed_at": None,
        },
    )
    if made and not company.disputed_at:
        company.note(Event.ACCESS_REQUESTED, by="registration", user_id=user.id)
    return request


def give_by_support(company: Company, request: AccessRequest, *, by: str) -> None:
    """End the dispute: the salon belongs to the user of `request`; runs in the caller's transaction.

    Another user's session goes, with the phone that may be linked to it; tokens of that user lose their
    power.
    """
    changed_hands = digest_of(owner_of(company)) != request.holder
    old = company.session
    session: Session | None = services.create_session() if changed_hands else old
    company.move(
        to=company.status,
        sources=[company.status],
        marketplace_user_id=request.user_id,
        marketplace_user_name=request.user_name,
        marketplace_user_phone=request.user_phone,
        marketplace_user_email=request.user_email,
        owner_confirmed_at=timezone.now(),
        disputed_at=None,
        session=session,
    )
    company.note(Event.OWNERSHIP_DECIDED, by=by, user_id=request.user_id, changed_hands=changed_hands)
    AccessRequest.objects.filter(company=company).exclude(pk=request.pk).update(closed_at=timezone.now())
    if old is None:
        return
    if not changed_hands:
        services.resume(session=old, reason="support has decided to whom the salon belongs")
    elif not old.companies.exists():
        services.unlink(session=old, reason=f"salon {company.salon_id} was given to another user")
    services.mark_changed(session=old)
