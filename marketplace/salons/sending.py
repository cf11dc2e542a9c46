"""Whether a salon may send, and through which number: one answer for whoever sends in its name."""

from marketplace.models import Company
from whatsapp.models import Session

# While it is being activated too: YClients may have taken the salon's key, and sends with it, before we hear
# that it did.
SERVED = (Company.Status.ACTIVE, Company.Status.ACTIVATING)


class CannotSend(Exception):
    """Nothing can be sent now; `code` is `frozen` or `not_connected`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def session_of(company: Company) -> Session:
    """The session with a linked device that the salon sends by, on line or not. Raises CannotSend.

    The caller holds the salon's row locked, so that a freeze is not slipped past.
    """
    if company.status == Company.Status.FROZEN:
        raise CannotSend("frozen")
    if company.status not in SERVED or company.session is None or not company.session.is_linked:
        raise CannotSend("not_connected")
    return company.session
