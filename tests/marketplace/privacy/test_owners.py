"""What is known of an owner is forgotten some time after he has removed the application."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from marketplace.models import Company
from marketplace.worker import retention
from tests.marketplace.salons_data import ALMATY, MOSCOW, make_active

pytestmark = pytest.mark.django_db(transaction=True)
CONTACTS: dict[str, Any] = {
    "marketplace_user_id": "123",
    "marketplace_user_name": "Андрей",
    "marketplace_user_phone": "79990000900",
    "marketplace_user_email": "andrey@example.com",
    "phone": "+74950000101",
    "email": "salon@example.com",
}


def gone(days: float, salon_id: int = MOSCOW) -> Company:
    """A salon that removed the application so many days ago."""
    company = make_active(salon_id, **CONTACTS)
    Company.objects.filter(pk=company.pk).update(
        status="uninstalled",
        uninstalled_at=timezone.now() - timedelta(days=days),
        **Company.WITHOUT_SECRETS,
    )
    return company


def known(company: Company) -> list[str]:
    company.refresh_from_db()
    return [name for name in CONTACTS if getattr(company, name)]


def test_contacts_go_after_ninety_days_and_the_number_of_the_user_stays() -> None:
    old, young = gone(91), gone(89, ALMATY)
    retention.prune()
    assert known(old) == ["marketplace_user_id"]
    assert known(young) == list(CONTACTS)


def test_a_salon_that_came_back_keeps_its_contacts() -> None:
    company = make_active(**CONTACTS, uninstalled_at=timezone.now() - timedelta(days=200))
    retention.prune()
    assert known(company) == list(CONTACTS)


def test_the_days_are_a_setting(settings: Any) -> None:
    company = gone(8)
    settings.RETENTION_OWNER_DAYS = 7
    assert next(each.rows for each in retention.count() if each.kind == "owners") == 1
    retention.prune()
    assert known(company) == ["marketplace_user_id"]
