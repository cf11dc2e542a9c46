"""Everything one running sandbox consists of, as its handlers see it."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from sandbox.yclients.clock import Clock, stamp
from sandbox.yclients.faults import Faults
from sandbox.yclients.journal import Journal
from sandbox.yclients.marketplace import Marketplace, MarketplaceError
from sandbox.yclients.notifications import Notifier
from sandbox.yclients.persistence import StateFile
from sandbox.yclients.ratelimit import RateLimit
from sandbox.yclients.salons import Payment
from sandbox.yclients.sender import Sender
from sandbox.yclients.settings import SandboxSettings
from sandbox.yclients.signing import Signature, connect_url
from sandbox.yclients.webhooks import Webhooks

# The person who presses the buttons of the marketplace page.
OWNER: dict[str, object] = {
    "user_id": 4213057,
    "name": "Анна Петрова",
    "email": "anna@example.com",
    "phone": "79990001122",
}


class Context:
    """Settings, state, faults, journal and senders; `url` is known once the server listens."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.url = ""
        self.clock = Clock()
        self.journal = Journal()
        self.faults = Faults()
        self.rate_limit = RateLimit()
        self.rate_limit.enabled = settings.enforce_limits
        self._file = StateFile(settings.state_dir) if settings.state_dir else None
        self.marketplace = Marketplace(clock=self.clock, changed=self._save)
        if self._file:
            self._file.read_into(self.marketplace)
        self.sender = Sender(
            clock=self.clock,
            tries=settings.webhook_tries,
            patience=settings.webhook_patience,
            pause=settings.webhook_pause,
        )
        self.webhooks = Webhooks(settings=settings, marketplace=self.marketplace, sender=self.sender)
        self.notifier = Notifier(settings=settings, marketplace=self.marketplace, sender=self.sender)

    @property
    def public_url(self) -> str:
        """The sandbox's address for a browser."""
        return self.settings.public_url or self.url

    def press_connect(self, salon_ids: list[int], *, signature: Signature = "valid") -> str:
        """Start the installation in these salons; returns where the browser goes next."""
        self.marketplace.press_connect(salon_ids)
        first = self.marketplace.salon(salon_ids[0])
        return connect_url(
            product_url=self.settings.browser_product_url,
            partner_token=self.settings.partner_token,
            salon_ids=salon_ids,
            user={**OWNER, "salon_name": first.title, "is_approved": True},
            signature=signature,
        )

    def pay(self, salon_id: int, *, discount: int = 0) -> Payment:
        """The salon buys the cheapest tariff for its months, starting now; 404 when it cannot."""
        options = [option for tariff in self.marketplace.tariffs for option in tariff["options"]]
        if not options:
            raise MarketplaceError(404, "У приложения нет тарифов.")
        option = min(options, key=lambda item: item["overall_price"])
        now = self.clock.now()
        until = now + timedelta(days=30 * option["duration_in_months"])
        return self.marketplace.pay(
            salon_id=salon_id,
            payment_sum=round(option["overall_price"] * (100 - discount) / 100, 2),
            currency_iso=option["currency_iso"],
            payment_date=stamp(now),
            period_from=stamp(now),
            period_to=stamp(until),
        )

    def _save(self) -> None:
        if self._file:
            self._file.write(self.marketplace)


CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)


def context_of(request: web.Request) -> Context:
    """The sandbox that serves this request."""
    return request.app[CONTEXT]
