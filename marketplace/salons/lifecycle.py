"""What a lifecycle event does to a salon. Database only; every function runs in the caller's transaction.

An uninstall comes in two steps, because the partner token alone must not be able to destroy anything: the
webhook only freezes the salon and asks for a check (`request_uninstall`), and what YClients then says ends
it (`marketplace.sync.uninstalls`): `uninstall`, or `deny_uninstall`.
"""

from datetime import timedelta

from django.utils import timezone

from config.shared import hints
from marketplace.models import (
    AccessRequest,
    Channel,
    Company,
    CompanyCheck,
    MarketplaceEvent,
    OutageAlert,
    UninstallRequest,
)
from whatsapp.messages import limits
from whatsapp.models import Session
from whatsapp.sessions import services

# How often YClients is asked whether a frozen salon has paid.
CHECK_FROZEN_EVERY = timedelta(minutes=15)

Status = Company.Status


class NotYet(Exception):
    """The event cannot be applied while an activation or an uninstall is not settled; it is tried again."""


def locked(salon_id: int) -> Company | None:
    """Return the salon's row, locked; None for a salon that never came to us."""
    return Company.objects.select_for_update().filter(salon_id=salon_id).first()


def request_uninstall(company: Company, *, by: str) -> bool:
    """Stop serving the salon at once, and let a worker ask YClients whether it is uninstalled.

    Nothing is destroyed. Returns False when the salon is uninstalled, or is being checked already.
    """
    if company.status == Status.UNINSTALLED:
        return False
    _row, made = UninstallRequest.objects.get_or_create(company=company)
    if not made:
        return False
    _begin_uninstall(company, by=by)
    return True


def request_removal(company: Company, *, by: str) -> bool:
    """Stop serving the salon, and let a worker remove the application from it at YClients; then uninstall.

    Returns False when the salon is uninstalled already.
    """
    if company.status == Status.UNINSTALLED:
        return False
    UninstallRequest.objects.update_or_create(
        company=company, defaults={"remove_there": True, "next_at": timezone.now(), "missing_since": None}
    )
    _begin_uninstall(company, by=by)
    return True


def _begin_uninstall(company: Company, *, by: str) -> None:
    company.note(MarketplaceEvent.Type.UNINSTALL_REQUESTED, by=by, status_before=company.status)
    if company.status == Status.ACTIVE:
        freeze(company, by=f"{by}, uninstall requested")
    hints.wake_workers()


def deny_uninstall(company: Company, *, by: str, said: str) -> bool:
    """End a requested uninstall of which YClients says that it is none; `said` is its word for the salon.

    A salon that YClients calls active is served again. Returns False when no uninstall was requested.
    """
    deleted, _rows = UninstallRequest.objects.filter(company=company).delete()
    if not deleted:
        return False
    company.note(MarketplaceEvent.Type.UNINSTALL_DENIED, by=by, yclients=said)
    if said == "active":
        unfreeze(company, by=by)
    return True


def uninstall(company: Company, *, by: str, **why: str) -> bool:
    """Destroy what connects the salon; the WhatsApp device goes unless other salons use it too.

    The salon keeps no session: a reinstall starts with a new one. `why` is added to the event. Returns
    False when it was uninstalled already.
    """
    before = company.status
    UninstallRequest.objects.filter(company=company).delete()
    if before == Status.UNINSTALLED:
        return False
    # Locked, so that of two salons leaving one session at once the second sees that it is the last.
    held = company.session
    session = Session.objects.select_for_update().get(pk=held.pk) if held else None
    company.move(
        to=Status.UNINSTALLED,
        sources=[before],
        session=None,
        uninstalled_at=timezone.now(),
        frozen_at=None,
        activation_attempts=0,
        activation_next_at=None,
        activation_claimed_until=None,
        activation_error="",
        redirect_url="",
        whatsapp_noted_at=None,
        owner_confirmed_at=None,
        disputed_at=None,
        paused_at=None,
        held_at=None,
        unlinked_at=None,
        **Company.WITHOUT_SECRETS,
    )
    AccessRequest.objects.filter(company=company, closed_at__isnull=True).update(closed_at=timezone.now())
    OutageAlert.objects.filter(company=company).delete()
    Channel.objects.filter(company=company).delete()  # a new installation begins with an available channel
    last = session is not None and not session.companies.exclude(status=Status.UNINSTALLED).exists()
    company.note(
        MarketplaceEvent.Type.UNINSTALLED,
        by=by,
        status_before=before,
        session=str(session.pk) if session else None,
        unlinked=last,
        **why,
    )
    if session is not None:
        if last:
            services.unlink(session=session, reason=f"salon {company.salon_id} uninstalled the application")
        services.mark_changed(session=session)
    return True


def freeze(company: Company, *, by: str) -> bool:
    """Stop serving an active salon; its device stays linked. Returns False when there is nothing to freeze.

    Raises NotYet while the salon is being activated.
    """
    if company.status == Status.ACTIVATING:
        raise NotYet(f"salon {company.salon_id} is being activated")
    if company.status != Status.ACTIVE:
        return False
    now = timezone.now()
    company.move(
        to=Status.FROZEN,
        sources=[Status.ACTIVE],
        frozen_at=now,
    )
    CompanyCheck.objects.update_or_create(company=company, defaults={"next_at": now + CHECK_FROZEN_EVERY})
    company.note(MarketplaceEvent.Type.FROZEN, by=by)
    settle_sending(company)
    notify_pages(company)
    return True


def unfreeze(company: Company, *, by: str) -> bool:
    """Serve a frozen salon again. Returns False when it is not frozen.

    Raises NotYet while it is being checked whether the salon is uninstalled.
    """
    if company.status != Status.FROZEN:
        return False
    if UninstallRequest.objects.filter(company=company).exists():
        raise NotYet(f"it is being checked whether salon {company.salon_id} is uninstalled")
    company.move(to=Status.ACTIVE, sources=[Status.FROZEN], frozen_at=None, activation_next_at=None)
    company.note(MarketplaceEvent.Type.UNFROZEN, by=by)
    settle_sending(company)
    notify_pages(company)
    return True


def record_payment(company: Company, *, by: str) -> bool:
    """YClients says that the salon has paid: a frozen one is served again, of an active one it is noted."""
    if company.status == Status.ACTIVE:
        company.note(MarketplaceEvent.Type.PAYMENT_RECEIVED, by=by)
        return True
    return unfreeze(company, by=by)


def settle_sending(company: Company) -> None:
    """Hold back what waits to be sent while all salons of the number are frozen, or sending is paused by an
    owner or support, and let it go after that."""
    session = company.session
    if session is None:
        return
    salons = session.companies.exclude(status=Status.UNINSTALLED)
    paused = salons.filter(paused_at__isnull=False).exists()
    held = salons.filter(held_at__isnull=False).exists()
    served = not paused and not held and salons.exclude(status=Status.FROZEN).exists()
    change = limits.unpause if served else limits.pause
    why = "paused by support" if held else "paused by its owner" if paused else company.status
    change(session=session, reason=f"salon {company.salon_id} is {why}")


def pause_sending(company: Company, *, by: str) -> bool:
    """The owner holds all messages of the salon's number back; False when they are held back so already."""
    return _hold_back(company, "paused_at", by)


def resume_sending(company: Company, *, by: str) -> bool:
    """Undo `pause_sending`, for all salons on the number; False when nothing was paused."""
    return _let_go(company, "paused_at", by)


def hold_sending(company: Company, *, by: str) -> bool:
    """As `pause_sending`, by support: what its owner resumes, and a payment, leave it as it is."""
    return _hold_back(company, "held_at", by)


def release_sending(company: Company, *, by: str) -> bool:
    """Undo `hold_sending`, for all salons on the number; False when support has paused nothing."""
    return _let_go(company, "held_at", by)


def _hold_back(company: Company, column: str, by: str) -> bool:
    free = Company.objects.filter(pk=company.pk, **{f"{column}__isnull": True})
    if not free.update(**{column: timezone.now()}):
        return False
    company.note(MarketplaceEvent.Type.SENDING_PAUSED, by=by)
    settle_sending(company)
    return True


def _let_go(company: Company, column: str, by: str) -> bool:
    held = Company.objects.filter(session=company.session_id, **{f"{column}__isnull": False})
    if company.session_id is None or not held.update(**{column: None}):
        return False
    company.note(MarketplaceEvent.Type.SENDING_RESUMED, by=by)
    settle_sending(company)
    return True


def unlink(company: Company, *, by: str) -> bool:
    """The owner removes our device from the salon's phone; the salon stays, and can link a phone anew.

    All salons on the number lose it. Returns False when no device is linked.
    """
    session = company.session
    if session is None or not session.is_linked or session.wanted == Session.Wanted.UNLINKED:
        return False
    salons = session.companies.all()
    salons.filter(marketplace_user_id=company.marketplace_user_id).update(unlinked_at=timezone.now())
    for each in salons:
        each.note(MarketplaceEvent.Type.WHATSAPP_UNLINKED, by=by, asked_for_salon=company.salon_id)
    services.unlink(session=session, reason=f"salon {company.salon_id}: its owner, {by}")
    return True


def notify_pages(company: Company) -> None:
    """After the commit: let the salon's open pages read again."""
    if company.session is not None:
        services.mark_changed(session=company.session)
