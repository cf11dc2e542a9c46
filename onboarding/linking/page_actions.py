"""Reading a token's rows for a page: one snapshot, and what may be started by showing it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import translation
from django.utils.translation import get_language

from marketplace.models import Company
from onboarding.linking import snapshots, token_scope
from onboarding.linking.token_scope import TokenScope
from onboarding.linking.tokens import Registrant
from whatsapp.sessions import services

PHONE_MOST = 40  # characters
# A salon that has no use for a linked phone now gets no codes by merely opening the page.
NOT_SERVED = {Company.Status.UNINSTALLED.value, Company.Status.FROZEN.value}


def read_snapshot(registrant: Registrant, *, viewed: bool = True) -> dict[str, Any]:
    """Return the current snapshot; `viewed` keeps the codes coming, or starts them.

    Raises TokenRevoked.
    """
    return read_snapshots([SnapshotRequest(registrant, viewed, get_language() or "ru")])[0]


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Whose snapshot is read, whether somebody looks at it, and in which language it speaks."""

    registrant: Registrant
    viewed: bool
    language: str


def read_snapshots(requests: Sequence[SnapshotRequest]) -> list[dict[str, Any]]:
    """As `read_snapshot`, for many pages with one query for their rows; raises when it would for any one."""
    scopes = token_scope.load_all([each.registrant for each in requests])
    pool_running = services.pool_is_running()
    pictures = []
    for each, scope in zip(requests, scopes, strict=True):
        with translation.override(each.language):
            if each.viewed:
                note_view(scope)
            pictures.append(snapshots.build(each.registrant, scope, pool_running=pool_running))
    return pictures


def note_view(scope: TokenScope) -> None:
    """Somebody looks at these salons' page; call it when it opens and at least every 45 s."""
    if snapshots.company_status(scope) not in NOT_SERVED and not scope.is_disputed:
        services.view(session=scope.session)
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
