"""Two salons at the page, and what a pool would write about their phones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

if TYPE_CHECKING:  # models can be imported only after pytest has set Django up
    from tests.onboarding.visitors import Visitor


@pytest.fixture
def moscow(transactional_db: None) -> Visitor:
    """The barbershop in Moscow, registered a moment ago."""
    from tests.onboarding.visitors import arrive

    return arrive(307626, "Барбершоп на Тверской")


@pytest.fixture
def kazan(transactional_db: None) -> Visitor:
    """The nail studio in Kazan, registered a moment ago."""
    from tests.onboarding.visitors import arrive

    return arrive(412870, "Студия ногтей")


@pytest.fixture
def pool(transactional_db: None) -> None:
    """A session pool is alive, as far as the database says."""
    from whatsapp.models import Pool

    Pool.objects.create(name="test-pool", heartbeat_at=timezone.now() + timedelta(hours=1), capacity=1)


@pytest.fixture
def channel_layer_of_this_loop(settings: Any) -> Iterator[None]:
    """Connections to Redis belong to one event loop; each test has a new one."""
    from channels.layers import channel_layers

    from onboarding.live import throttle

    channel_layers.backends.clear()
    settings.WS_CONNECTS_PER_MINUTE = 1000
    throttle.forget()
    yield
    channel_layers.backends.clear()
