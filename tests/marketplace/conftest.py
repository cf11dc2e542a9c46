"""A local YClients, and Moscow on its way to being connected."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.marketplace.local_yclients import LocalYClients, local_yclients

if TYPE_CHECKING:  # models can be imported only after pytest has set Django up
    from marketplace.models import Company


@pytest.fixture
def yclients(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalYClients]:
    """YClients, reachable, patient with fast callers, with three salons that have not installed anything."""
    from marketplace.yclients import rate_limit

    monkeypatch.setattr(rate_limit, "SPACING", timedelta(milliseconds=1))
    with local_yclients() as there:
        settings.YCLIENTS_API_URL = there.url
        settings.YCLIENTS_MARKETPLACE_URL = there.marketplace_url
        yield there


@pytest.fixture
def registered(yclients: LocalYClients, transactional_db: None) -> Company:
    """Moscow, registered, no phone yet."""
    from marketplace.salons.registration import start_registration
    from tests.marketplace.salons_data import ANDREY, MOSCOW, let_the_worker_check

    yclients.press_connect(MOSCOW)
    company = start_registration(salon_ids=[MOSCOW], user=ANDREY, signed=True).primary
    let_the_worker_check()
    company.refresh_from_db()
    return company


@pytest.fixture
def connected(registered: Company) -> Company:
    """Moscow, registered, its phone connected."""
    from tests.marketplace.salons_data import connect_phone

    connect_phone(registered)
    return registered
