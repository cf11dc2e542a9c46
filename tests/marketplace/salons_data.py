"""The salons that the tests speak of, and how they come to be in the state that a test begins with."""

from typing import Any

from django.utils import timezone

from marketplace.models import Company
from marketplace.salons import registration_checks
from marketplace.yclients.signing import MarketplaceUser
from whatsapp.crypto.encryption import lookup_digest
from whatsapp.models import Session

MOSCOW, EKATERINBURG, ALMATY = 307626, 412870, 598114
ANDREY = MarketplaceUser(id="123", name="Андрей Иванов", phone="79990000900", email="andrey@example.com")


def connect_phone(company: Company) -> Session:
    """Do what the pool does when the phone has scanned the code."""
    company.refresh_from_db()
    assert company.session is not None
    now = timezone.now()
    Session.objects.filter(pk=company.session.pk).update(
        status="connected",
        wanted="linked",
        jid="79990000900:1@s.whatsapp.net",
        phone="79990000900",
        paired_at=now,
        connected_at=now,
    )
    company.refresh_from_db()
    return Session.objects.get(pk=company.session.pk)


def make_active(salon_id: int = MOSCOW, **fields: Any) -> Company:
    """An active, connected salon, without any call to YClients."""
    now = timezone.now()
    made: dict[str, Any] = {
        "status": "active",
        "activated_at": now,
        "registered_at": now,
        "marketplace_user_id": ANDREY.id,
        **fields,
    }
    if "session" not in made:
        made["session"] = Session.objects.create(
            status="connected", wanted="linked", jid=f"7999{salon_id}:1@s.whatsapp.net", paired_at=now
        )
    for name in ("api_key", "webhook_secret"):
        made[name] = f"{name}-of-{salon_id}"
        made[f"{name}_digest"] = lookup_digest(made[name])
    return Company.objects.create(salon_id=salon_id, **made)


def let_the_worker_check() -> None:
    """Take every step with registered salons that is due, as the worker does."""
    while found := registration_checks.CHECKS.due(limit=100):
        for check_id in found:
            registration_checks.check(check_id)
