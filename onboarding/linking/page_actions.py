"""Reading a token's rows for a page: one snapshot, and what may be started by showing it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils import translation
from django.utils.translation import get_language

from marketplace.models import Company
from onboarding.linking import snapshots, token_scope
from onboarding.linking.token_scope import TokenScope
from onboarding.linking.tokens import Registrant
from whatsapp.models import Session
from whatsapp.sessions import services
from whatsapp.sessions.code_hints import CodeHint

PHONE_MOST = 40  # characters
# A salon that has no use for a linked phone now gets no codes by merely opening the page.
NOT_SERVED = {Company.Status.UNINSTALLED.value, Company.Status.FROZEN.value}


def read_snapshot(registrant: Registrant, *, viewed: bool = True) -> dict[str, Any]:
    """Return the current snapshot; `viewed` keeps the codes coming, or starts them.

    Raises TokenRevoked.
    """
    return read_states([SnapshotRequest(registrant, viewed, get_language() or "ru")])[0].picture


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Whose snapshot is read, whether somebody looks at it, and in which language it speaks."""

    registrant: Registrant
    viewed: bool
    language: str


@dataclass(frozen=True, slots=True)
class PageState:
    """The rows that a page shows, and the snapshot made of them."""

    request: SnapshotRequest
    scope: TokenScope
    session: Session
    pool_running: bool
    picture: dict[str, Any]
    was_read: bool = True  # False: a hint told it

    def with_code(self, hint: CodeHint) -> "PageState":
        """Return the state after a write that follows `session`."""
        session = hint.applied_to(self.session)
        if picture := snapshots.with_next_code(self.picture, session):
            return replace(self, session=session, picture=picture, was_read=False)
        state = _state(self.request, self.scope, session, pool_running=self.pool_running)
        return replace(state, was_read=False)


def _state(request: SnapshotRequest, scope: TokenScope, session: Session, *, pool_running: bool) -> PageState:
    with translation.override(request.language):
        picture = snapshots.build(request.registrant, scope, session, pool_running=pool_running)
    return PageState(request, scope, session, pool_running, picture)


def read_states(requests: Sequence[SnapshotRequest]) -> list[PageState]:
    """As `read_snapshot`, for many pages with one query for their rows; raises when it would for any one."""
    scopes = token_scope.load_all([each.registrant for each in requests])
    pool_running = services.pool_is_running()
    for each, scope in zip(requests, scopes, strict=True):
        if each.viewed:
            note_view(scope)
    return [
        _state(each, scope, scope.session, pool_running=pool_running)
        for each, scope in zip(requests, scopes, strict=True)
    ]


def note_view(scope: TokenScope) -> None:
    """Somebody looks at these salons' page; call it when it opens and at least every 45 s."""
    served = snapshots.company_status(scope) not in NOT_SERVED and not scope.is_disputed
    if served and services.view(session=scope.session):
        scope.session.refresh_from_db()


class RequestRejected(Exception):
    """What a page asked for cannot be done now; `code` is a machine word of `words.PROBLEMS`."""

    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(code)
        self.code, self.extra = code, extra


def request_qr(registrant: Registrant) -> None:
    """Ask for a fresh QR code, or for a new connection of a device that stands still.

    Raises TokenRevoked, RequestRejected.
    """
    try:
        services.request_qr(session=token_scope.acting(registrant).session)
    except token_scope.Disputed as error:
        raise RequestRejected("disputed") from error
    except services.AlreadyLinked as error:
        raise RequestRejected("already_linked") from error
    except services.TooSoon as error:
        raise RequestRejected("too_soon", retryAfter=error.retry_after) from error


def request_pairing_code(registrant: Registrant, phone: object) -> None:
    """Ask for a pairing code for a phone number as a person typed it; raises as `request_qr`."""
    typed = str(phone) if isinstance(phone, str | int) and not isinstance(phone, bool) else ""
    if not typed or len(typed) > PHONE_MOST:
        raise RequestRejected("invalid_phone")
    try:
        scope = token_scope.acting(registrant)
        services.request_pairing_code(session=scope.session, phone=typed, region=scope.region)
    except token_scope.Disputed as error:
        raise RequestRejected("disputed") from error
    except services.InvalidPhone as error:
        raise RequestRejected("invalid_phone") from error
    except services.AlreadyLinked as error:
        raise RequestRejected("already_linked") from error
    except services.TooSoon as error:
        raise RequestRejected("too_soon", retryAfter=error.retry_after) from error
