"""Activating Moscow in tests, and what must hold however it went."""

from django.utils import timezone

from marketplace.models import Company, MarketplaceEvent
from marketplace.salons import activation
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import MOSCOW


class Killed(BaseException):
    """The process ends here."""


def events(kind: str) -> int:
    """Return how many of Moscow's events are of this kind."""
    return MarketplaceEvent.objects.filter(salon_id=MOSCOW, event_type=kind).count()


def activate(company: Company, wait: float = 0) -> activation.ActivationResult:
    """Activate as a page or a worker does, by default without waiting for another."""
    return activation.activate(company=company, cause="test", wait=wait)


def assert_active_once(company: Company, yclients: LocalYClients) -> None:
    """The salon is active here and there, by one call that counted and with one key."""
    company.refresh_from_db()
    there = yclients.installation(MOSCOW)
    assert company.status == "active"
    assert there.api_keys == [company.api_key]
    assert there.activations == 1
    assert events("integration_activated") == 1
    assert events("activation_failed") == 0


def forget_pause(company: Company) -> None:
    """The time until the next attempt has passed."""
    Company.objects.filter(pk=company.pk).update(
        activation_next_at=timezone.now(), activation_claimed_until=None
    )
