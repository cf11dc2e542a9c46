"""The marketplace's own rules: who may install, how an installation changes its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sandbox.yclients.clock import Clock, stamp
from sandbox.yclients.salons import Installation, InstallStatus, LogEntry, Payment, Salon, seed_salons

PENDING_LIFETIME = timedelta(hours=12)
ALREADY_INSTALLED = "Пользователь уже установил это приложение."

DEFAULT_TARIFFS: list[dict[str, Any]] = [
    {
        "id": 1,
        "title": "Стандартный",
        "options": [
            {
                "id": 11,
                "title": "1 месяц",
                "overall_price": 990,
                "duration_in_months": 1,
                "staff_amount": None,
                "free_period_in_months": 0,
                "currency_iso": "RUB",
            },
            {
                "id": 12,
                "title": "12 месяцев",
                "overall_price": 9900,
                "duration_in_months": 12,
                "staff_amount": None,
                "free_period_in_months": 1,
                "currency_iso": "RUB",
            },
        ],
    }
]


class MarketplaceError(Exception):
    """A rule of the marketplace says no; `status` is the HTTP status that the API answers."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Marketplace:
    """Salons, installations and payments of one application.

    `changed` is called after every change, before anyone is answered, so that a state file can follow.
    """

    def __init__(self, *, clock: Clock, changed: Callable[[], None]) -> None:
        self.clock = clock
        self.changed = changed
        self.salons: dict[int, Salon] = {salon.id: salon for salon in seed_salons()}
        self.tariffs: list[dict[str, Any]] = DEFAULT_TARIFFS
        self.next_payment_id = 7001
        self.next_record_id = 596792980

    def add(self, salon: Salon) -> Salon:
        """Keep a new salon; 409 when its number is taken."""
        if salon.id in self.salons:
            raise MarketplaceError(409, f"Salon {salon.id} already exists.")
        self.salons[salon.id] = salon
        self.changed()
        return salon

    def salon(self, salon_id: int) -> Salon:
        """The salon with a fresh view of its expiry; 404 when there is none."""
        salon = self.salons.get(salon_id)
        if salon is None:
            raise MarketplaceError(404, "Компания не найдена.")
        self._expire(salon)
        return salon

    def installation(self, salon_id: int) -> Installation:
        """The salon's installation, whatever its state; 404 when the application was never installed."""
        installation = self.salon(salon_id).installation
        if installation is None:
            raise MarketplaceError(404, "Приложение не установлено в этом филиале.")
        return installation

    def connected(self, salon_id: int) -> Installation:
        """An installation that is active or frozen, otherwise 404."""
        installation = self.installation(salon_id)
        if installation.status not in (InstallStatus.ACTIVE, InstallStatus.FREEZED):
            raise MarketplaceError(404, "Приложение не подключено в этом филиале.")
        return installation

    def press_connect(self, salon_ids: Sequence[int]) -> None:
        """Somebody presses "Connect": every salon that is not connected yet starts to wait for us."""
        salons = [self.salon(salon_id) for salon_id in salon_ids]
        for salon in salons:
            install = salon.installation
            if install is None:
                install = salon.installation = Installation(InstallStatus.UNINSTALLED, "")
                self._move(install, InstallStatus.PENDING, "user", first=True)
            elif install.status == InstallStatus.UNINSTALLED:
                self._move(install, InstallStatus.PENDING, "user")
            if install.status == InstallStatus.PENDING:
                install.pending_since = self.clock.now()
                install.created_at = stamp(install.pending_since)
        self.changed()

    def activate(
        self, *, salon_id: int, api_key: str, webhook_urls: Sequence[str], channels: Sequence[str]
    ) -> Installation:
        """The application reports that it is ready; 403 unless the salon is waiting for exactly that."""
        salon = self.salon(salon_id)
        install = salon.installation
        if install is not None and install.status in (InstallStatus.ACTIVE, InstallStatus.FREEZED):
            raise MarketplaceError(403, ALREADY_INSTALLED)
        if install is None or install.status != InstallStatus.PENDING:
            raise MarketplaceError(403, "Филиал не подключает это приложение.")
        install.api_keys.append(api_key)
        install.webhook_urls = list(webhook_urls)
        install.channels = dict.fromkeys(channels, True)
        install.activations += 1
        self._move(install, InstallStatus.ACTIVE, "application")
        self.changed()
        return install

    def freeze(self, salon_id: int) -> Installation:
        """Stop an active installation for lack of money; 409 when it is not active."""
        install = self.installation(salon_id)
        if install.status != InstallStatus.ACTIVE:
            raise MarketplaceError(409, "Заморозить можно только подключённое приложение.")
        self._move(install, InstallStatus.FREEZED, "system")
        self.changed()
        return install

    def unfreeze(self, salon_id: int) -> Installation:
        """Make a frozen installation work again; 409 when it is not frozen."""
        install = self.installation(salon_id)
        if install.status != InstallStatus.FREEZED:
            raise MarketplaceError(409, "Приложение не заморожено.")
        self._move(install, InstallStatus.ACTIVE, "system")
        self.changed()
        return install

    def uninstall(self, salon_id: int, *, source: str) -> Installation:
        """Remove the application; 409 when it is gone already. The keys stay listed for tests to look at."""
        install = self.installation(salon_id)
        if install.status == InstallStatus.UNINSTALLED:
            raise MarketplaceError(409, "Приложение уже удалено.")
        self._move(install, InstallStatus.UNINSTALLED, source)
        install.webhook_urls = []
        self.changed()
        return install

    def pay(
        self,
        *,
        salon_id: int,
        payment_sum: float,
        currency_iso: str,
        payment_date: str,
        period_from: str,
        period_to: str,
    ) -> Payment:
        """Note a payment; money wakes a frozen installation. Two calls are two payments, as at YCLIENTS."""
        install = self.connected(salon_id)
        payment = Payment(
            self.next_payment_id, payment_sum, currency_iso, payment_date, period_from, period_to
        )
        self.next_payment_id += 1
        install.payments.append(payment)
        if install.status == InstallStatus.FREEZED:
            self._move(install, InstallStatus.ACTIVE, "payment")
        self.changed()
        return payment

    def refund(self, payment_id: int) -> Payment:
        """Mark a payment as given back; 404 when unknown, 422 when it already was."""
        for salon in self.salons.values():
            for payment in salon.installation.payments if salon.installation else []:
                if payment.id == payment_id:
                    if payment.is_refunded:
                        raise MarketplaceError(422, "Платёж уже возвращён.")
                    payment.is_refunded = True
                    self.changed()
                    return payment
        raise MarketplaceError(404, "Платёж не найден.")

    def _expire(self, salon: Salon) -> None:
        install = salon.installation
        if install is None or install.status != InstallStatus.PENDING or install.pending_since is None:
            return
        if self.clock.now() - install.pending_since >= PENDING_LIFETIME:
            self._move(install, InstallStatus.UNINSTALLED, "expired")
            self.changed()

    def _move(
        self, install: Installation, status: InstallStatus, source: str, *, first: bool = False
    ) -> None:
        now = self.clock.now()
        before = None if first else install.status.value
        install.pending_since = None
        install.status = status
        install.logs.append(LogEntry(stamp(now), before, status.value, source))
