"""Reading a token's rows for a page: one look, and what may be started by looking."""

from typing import Any

from marketplace.models import Company
from onboarding import registrants, snapshots
from onboarding.registrants import Holding
from onboarding.tokens import Registrant
from whatsapp import services

PHONE_MOST = 40  # characters
# A salon that has no use for a linked phone now gets no codes by merely opening the page.
NOT_SERVED = {Company.Status.UNINSTALLED.value, Company.Status.FROZEN.value}


def look(registrant: Registrant, *, viewed: bool = True) -> dict[str, Any]:
    """Return the current snapshot; `viewed` keeps the codes coming, or starts them.

    Raises NoPower.
    """
    holding = registrants.load(registrant)
    if viewed:
        note_view(holding)
    return snapshots.build(registrant, holding, pool_running=services.pool_is_running())


def note_view(holding: Holding) -> None:
    """Somebody looks at these salons' page; call it when it opens and at least every 45 s."""
    if snapshots.company_status(holding) not in NOT_SERVED:
        services.view(session=holding.session)
        holding.session.refresh_from_db()


class Unfulfilled(Exception):
    """A page's wish cannot be fulfilled now; `code` is a machine word of `words.PROBLEMS`."""

    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(code)
        self.code, self.extra = code, extra


def request_qr(registrant: Registrant) -> None:
    """Ask for a fresh QR code, or for a new connection of a device that stands still.

    Raises NoPower, Unfulfilled.
    """
    try:
        services.request_qr(session=registrants.acting(registrant).session)
    except services.AlreadyLinked as error:
        raise Unfulfilled("already_linked") from error
    except services.TooSoon as error:
        raise Unfulfilled("too_soon", retryAfter=error.retry_after) from error


def request_pairing_code(registrant: Registrant, phone: object) -> None:
    """Ask for a pairing code for a phone number as a person typed it; raises NoPower, Unfulfilled."""
    typed = str(phone) if isinstance(phone, str | int) and not isinstance(phone, bool) else ""
    if not typed or len(typed) > PHONE_MOST:
        raise Unfulfilled("invalid_phone")
    try:
        services.request_pairing_code(session=registrants.acting(registrant).session, phone=typed)
    except services.InvalidPhone as error:
        raise Unfulfilled("invalid_phone") from error
    except services.AlreadyLinked as error:
        raise Unfulfilled("already_linked") from error
    except services.TooSoon as error:
        raise Unfulfilled("too_soon", retryAfter=error.retry_after) from error
