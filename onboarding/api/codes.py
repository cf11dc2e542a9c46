"""Asking for a QR or pairing code and waiting until WhatsApp has given one.

Waiting holds no database connection and no thread: the row is read again and again.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from config.shared.database import in_thread
from onboarding.api.errors import ApiError
from onboarding.linking import page_actions, token_scope
from onboarding.linking.token_scope import TokenScope
from onboarding.linking.tokens import Registrant
from whatsapp.models import Session
from whatsapp.sessions import services
from whatsapp.sessions.services import AlreadyLinked, InvalidPhone, Snapshot, TooSoon

PATIENCE = 20.0  # seconds; a first QR takes some, more when many salons link at once
POLL_INTERVAL = 0.3  # seconds between two readings of the row
RETRY_AFTER = 5  # seconds
USABLE_QR = 5  # seconds that a code must still live to be worth showing
USABLE_CODE = 15

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """What was there before, and whether the request was written or came too soon after another."""

    old_code: str
    too_soon: int = 0  # seconds to wait, when it came too soon


async def fresh_qr(registrant: Registrant, *, renew: bool) -> tuple[str, int]:
    """Return a QR text and its whole seconds left; with `renew` one that nobody has seen yet.

    Raises ApiError: 409 when a device is linked, 503 without a pool or a code in time, 429 when WhatsApp
    needs a pause.
    """

    def ready(asked: CodeRequest) -> Callable[[Snapshot], tuple[str, int] | None]:
        def check(shown: Snapshot) -> tuple[str, int] | None:
            if shown.linked:
                raise ApiError(409, "already_linked")
            new = asked.too_soon or not renew or shown.qr != asked.old_code
            return (shown.qr, shown.qr_expires_in) if new and shown.qr_expires_in >= USABLE_QR else None

        return check

    asked = await in_thread(_ask_qr, registrant, renew)
    return await _wait(registrant, asked, ready(asked))


def _ask_qr(registrant: Registrant, renew: bool) -> CodeRequest:
    shown, session = _prepare(token_scope.acting(registrant))
    if not renew and shown.qr_expires_in >= USABLE_QR and not shown.linked:
        return CodeRequest("")
    try:
        services.request_qr(session=session)
    except AlreadyLinked as error:
        raise ApiError(409, "already_linked") from error
    except TooSoon as error:
        return CodeRequest(shown.qr, error.retry_after)
    return CodeRequest(shown.qr)


async def pairing_code(registrant: Registrant, *, phone: str) -> tuple[str, int]:
    """Return a pairing code for `phone`, as a person typed it, and its whole seconds left.

    Raises ApiError: 400 for no phone number, 409 when a device is linked, 429 when asked a moment ago for
    another number, 502 when WhatsApp refuses, 503 without a pool or a code in time.
    """
    digits, asked = await in_thread(_ask_pairing_code, registrant, phone)

    def check(shown: Snapshot) -> tuple[str, int] | None:
        if shown.linked:
            raise ApiError(409, "already_linked")
        if shown.pairing_error and not asked.too_soon:
            raise ApiError(502, shown.pairing_error)
        new = asked.too_soon or shown.pairing_code != asked.old_code
        usable = shown.pairing_phone == digits and shown.pairing_code_expires_in > 0
        return (shown.pairing_code, shown.pairing_code_expires_in) if new and usable else None

    return await _wait(registrant, asked, check)


def _ask_pairing_code(registrant: Registrant, phone: str) -> tuple[str, CodeRequest]:
    scope = token_scope.acting(registrant)
    try:
        digits = services.normalise_phone(phone, region=scope.region)
    except InvalidPhone as error:
        raise ApiError(400, "invalid_phone") from error
    shown, session = _prepare(scope)
    if shown.pairing_phone == digits and shown.pairing_code_expires_in >= USABLE_CODE:
        return digits, CodeRequest("")
    try:
        services.request_pairing_code(session=session, phone=phone, region=scope.region)
    except AlreadyLinked as error:
        raise ApiError(409, "already_linked") from error
    except TooSoon as error:
        if shown.pairing_phone != digits or shown.pairing_error:
            raise ApiError(429, "too_soon", retry_after=error.retry_after) from error
        return digits, CodeRequest("", error.retry_after)
    return digits, CodeRequest(shown.pairing_code)


def _prepare(scope: TokenScope) -> tuple[Snapshot, Session]:
    """The session as it is before anything is asked; ApiError 503 when nobody would hear the question."""
    if not services.pool_is_running():
        raise ApiError(503, "pool_unavailable", retry_after=RETRY_AFTER)
    page_actions.note_view(scope)
    return services.snapshot(session=scope.session), scope.session


async def _wait(registrant: Registrant, asked: CodeRequest, check: Callable[[Snapshot], T | None]) -> T:
    deadline = time.monotonic() + PATIENCE
    while True:
        found = check(await in_thread(_read_session, registrant))
        if found is not None:
            return found
        if time.monotonic() > deadline:
            if asked.too_soon:
                raise ApiError(429, "too_soon", retry_after=asked.too_soon)
            raise ApiError(503, "no_code_yet", retry_after=RETRY_AFTER)
        await asyncio.sleep(POLL_INTERVAL)


def _read_session(registrant: Registrant) -> Snapshot:
    return services.snapshot(session=token_scope.acting(registrant).session)
