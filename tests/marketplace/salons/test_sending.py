"""When a salon may send: the same for an answer by hand, the API, bookings and YClients' notifications."""

import pytest

from marketplace.bookings import messages
from marketplace.models import Company
from marketplace.salons import sending
from tests.onboarding.cabinet.owners import owned_salon

pytestmark = pytest.mark.django_db
Status = Company.Status


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (Status.ACTIVE, ""),
        (Status.ACTIVATING, ""),  # YClients may have the key, and send with it, before we hear of it
        (Status.FROZEN, "frozen"),
        (Status.PENDING_WHATSAPP, "not_connected"),
        (Status.ACTIVATION_FAILED, "not_connected"),
        (Status.UNINSTALLED, "not_connected"),
    ],
)
def test_a_salon_sends_while_it_is_active_or_being_activated(status: str, refusal: str) -> None:
    salon = owned_salon()
    salon.status = status
    assert messages.is_served(salon) is not bool(refusal)
    if not refusal:
        assert sending.session_of(salon) == salon.session
        return
    with pytest.raises(sending.CannotSend) as raised:
        sending.session_of(salon)
    assert raised.value.code == refusal


def test_a_salon_without_a_linked_device_sends_nothing() -> None:
    salon = owned_salon()
    assert salon.session is not None
    salon.session.jid = ""
    with pytest.raises(sending.CannotSend, match="not_connected"):
        sending.session_of(salon)
    salon.session = None
    with pytest.raises(sending.CannotSend, match="not_connected"):
        sending.session_of(salon)
