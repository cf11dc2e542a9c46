"""A salon and its owner's browser, for most tests of the cabinet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # models can be imported only after pytest has set Django up
    from django.test import Client

    from marketplace.models import Company


@pytest.fixture
def salon() -> Company:
    """An active salon, its phone linked and connected."""
    from tests.onboarding.cabinet.owners import owned_salon

    return owned_salon(307626)


@pytest.fixture
def owner(salon: Company) -> Client:
    """The owner's browser, signed in, in English."""
    from tests.onboarding.cabinet.owners import signed_in

    return signed_in([salon])
