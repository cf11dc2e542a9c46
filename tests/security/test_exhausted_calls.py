"""An attack on the check of installations: use up our share of calls to YClients, then send a link.

A link that cannot be checked because we ourselves may not call at this moment is never let through.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from marketplace.models import CallSlot, Company
from marketplace.yclients import rate_limit
from tests.marketplace.local_yclients import LocalYClients, local_yclients
from tests.onboarding.arrivals import come, sign

pytestmark = pytest.mark.django_db(transaction=True)
SALON = 307626


@pytest.fixture
def yclients(settings: Any) -> Iterator[LocalYClients]:
    """YClients, where nobody has pressed "Connect": every checked link would be refused."""
    with local_yclients() as there:
        settings.YCLIENTS_API_URL, settings.YCLIENTS_MARKETPLACE_URL = there.url, there.marketplace_url
        yield there


def use_up_the_slots() -> None:
    """Move the next free start as far ahead as the queue of callers can be."""
    CallSlot.objects.update_or_create(
        name=rate_limit.NAME,
        defaults={"next_start_at": datetime.now(UTC) + rate_limit.LONGEST_QUEUE + rate_limit.SPACING},
    )


@pytest.mark.parametrize("user", [{"user_id": 123}, None])
def test_a_link_does_not_pass_while_no_call_is_free(
    yclients: LocalYClients, settings: Any, monkeypatch: pytest.MonkeyPatch, user: dict[str, Any] | None
) -> None:
    settings.YCLIENTS_REQUIRE_SIGNATURE = False
    monkeypatch.setattr(rate_limit, "SPACING", timedelta(minutes=5))
    use_up_the_slots()
    response = come({"salon_id": SALON, **(sign(user) if user else {})})
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert not Company.objects.exists()
    assert yclients.calls() == []


def test_a_link_does_not_pass_while_yclients_itself_counts_us_out(yclients: LocalYClients) -> None:
    yclients.fault("429", endpoint="install_status", until_lifted=True)
    response = come({"salon_id": SALON, **sign({"user_id": 123})})
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert not Company.objects.exists()
