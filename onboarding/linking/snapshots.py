"""The one picture of a salon's linking and activation that page, live channel and HTTP API show."""

from typing import Any

from django.utils import timezone

from marketplace.models import Company
from marketplace.salons import clock
from onboarding.linking import words
from onboarding.linking.token_scope import TokenScope
from onboarding.linking.tokens import Registrant
from onboarding.rendering import addresses, phones
from whatsapp.models import Session
from whatsapp.sessions import services
from whatsapp.sessions.services import Snapshot

Statuses = Company.Status
# The least finished of a registration's salons decides what the page says of them all.
LEAST_FINISHED_FIRST = [
    Statuses.ACTIVATION_FAILED,
    Statuses.PENDING_WHATSAPP,
    Statuses.ACTIVATING,
    Statuses.FROZEN,
    Statuses.ACTIVE,
]


def build(
    registrant: Registrant, scope: TokenScope, session: Session, *, pool_running: bool
) -> dict[str, Any]:
    """Return the snapshot as JSON-ready data, in words of the active language; reads nothing.

    `session` is the scope's, or what is known to have become of it since. Times are whole seconds left,
    never more than is true.
    """
    shown = services.snapshot(session=session)
    status = company_status(scope)
    activation = _activation(scope, shown, status)
    return {
        "success": True,
        "version": shown.version,
        "generation": shown.session_id,  # versions of different sessions cannot be compared
        "session_id": registrant.session_name,
        "companyId": registrant.company_id,
        "salonId": registrant.salon_id,
        "title": title(scope),
        "companyStatus": status,
        "poolRunning": pool_running,
        "message": words.problem("disputed")
        if scope.is_disputed
        else words.of_session(shown, zone=clock.zone_of(scope.company), pool_running=pool_running),
        "disputed": scope.is_disputed,
        "branches": words.of_branches(scope.checks),
        "paymentUrl": addresses.payment_address(scope.company.salon_id)
        if status == Statuses.FROZEN
        else None,
        **_whatsapp(shown, hidden=shown.linked or scope.is_disputed),
        "activation": activation,
        "showSupport": scope.is_disputed
        or status == Statuses.FROZEN
        or words.name_support(shown, activation=activation["status"]),
    }


def with_next_code(picture: dict[str, Any], session: Session) -> dict[str, Any] | None:
    """Return what `build` would of a session that differs from the picture's in its QR code alone.

    None when the picture shows no code, or the new one could not be shown: then more of it changes.
    """
    left = services.seconds_left(session.qr_expires_at, now=timezone.now())
    if not picture["hasQR"] or picture["status"] != session.status or not left:
        return None
    return {**picture, "version": session.version, "qr": session.qr, "qrExpiresIn": left}


def _whatsapp(shown: Snapshot, *, hidden: bool) -> dict[str, Any]:
    """`hidden`: no codes, for a device is linked by now or none may be; a linked phone is always masked."""
    qr, code, typed = ("", "", "") if hidden else (shown.qr, shown.pairing_code, shown.pairing_phone)
    return {
        "status": shown.status,
        "connected": shown.connected,
        "linked": shown.linked,
        "stable": shown.stable,
        "settling": shown.connected and not shown.proven,
        "trouble": shown.trouble or None,
        "lostLink": words.of_lost_link(shown) or None,
        "phoneNumber": phones.masked(shown.phone),
        "phoneFormatted": phones.masked(phones.formatted(shown.phone)),
        "hasQR": bool(qr),
        "qr": qr or None,
        "qrExpiresIn": shown.qr_expires_in if qr else 0,
        "hasPairingCode": bool(code),
        "pairingCode": code or None,
        "pairingCodeExpiresIn": shown.pairing_code_expires_in if code else 0,
        "pairingPhone": typed,
        "pairingPhoneFormatted": phones.formatted(typed),
        "pairingError": shown.pairing_error or None,
        "pairingErrorMessage": words.problem(shown.pairing_error) if shown.pairing_error else None,
    }


def _activation(scope: TokenScope, shown: Snapshot, status: str) -> dict[str, Any]:
    state = activation_state(status, connected=shown.connected)
    reason = next((company.activation_error for company in scope.companies if company.activation_error), "")
    return {
        "status": state,
        "message": words.of_activation(state, company_status=status, reason=reason),
        "redirectUrl": redirect_url(scope) if state == "active" else None,
    }


def company_status(scope: TokenScope) -> str:
    """The status of the token's salons taken together."""
    if not scope.may_act:
        return Statuses.UNINSTALLED.value
    found = {company.status for company in scope.companies}
    return next(
        (status.value for status in LEAST_FINISHED_FIRST if status.value in found), scope.company.status
    )


def activation_state(status: str, *, connected: bool) -> str:
    """`waiting`, `activating`, `active` or `failed`; a connected phone means that it is about to begin."""
    known = {
        Statuses.ACTIVATING: "activating",
        Statuses.ACTIVE: "active",
        Statuses.ACTIVATION_FAILED: "failed",
    }
    pending = "activating" if connected and status == Statuses.PENDING_WHATSAPP else "waiting"
    return known.get(Statuses(status), pending)


def redirect_url(scope: TokenScope) -> str | None:
    """Where YClients wants the owner next; only web addresses, whatever was stored."""
    candidates = [scope.company.redirect_url, *(company.redirect_url for company in scope.companies)]
    return next((url for url in candidates if url.startswith(("https://", "http://"))), None)


def title(scope: TokenScope) -> str:
    """The salons' names, for a heading; numbers stand for those without one."""
    named = [company.title or f"№ {company.salon_id}" for company in scope.companies]
    return ", ".join(named[:3]) + (f" +{len(named) - 3}" if len(named) > 3 else "")
