"""The one call to YClients that a visit from the marketplace makes: is this salon installing us?"""

import math
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from django.conf import settings
from django.utils import timezone

from marketplace.models import Company
from marketplace.yclients.api import Installation, YClients
from marketplace.yclients.call_errors import YClientsError

log = structlog.get_logger("marketplace")

PATIENCE = 6.0  # seconds for the call with its waiting and repetition; with the wait for a thread below 10


class NotInstalling(Exception):
    """YClients says that the salon is not installing our application."""


class InstallationUnverified(Exception):
    """YClients could not be asked and nothing else vouches for the visitor: he may try again later."""


class YClientsBusy(Exception):
    """Our share of calls to YClients is used up at this moment; `retry_after` is in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"no call to YClients is free for {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Answer:
    """What YClients said of one salon; `installation` is None where it was not, or could not be, asked."""

    salon_id: int
    asked_at: datetime
    installation: Installation | None = None
    details: dict[str, str] = field(default_factory=dict)

    def says(self, company: Company, status: str) -> bool:
        """YClients gave this salon that status."""
        return self.status_of(company) == status

    def status_of(self, company: Company) -> str | None:
        """YClients' word about this salon; None without one."""
        asked = company.salon_id == self.salon_id and self.installation is not None
        return self.installation.status if asked and self.installation else None


def ask(salon_id: int, *, signed: bool) -> Answer:
    """Ask for the salon's installation; for its details instead where the check is turned off.

    When YClients cannot be asked, a signed visitor goes on without an answer. Never call it within a
    transaction. Raises NotInstalling for a refusal (403), InstallationUnverified, YClientsBusy.
    """
    now = timezone.now()
    with YClients(patience=PATIENCE) as yclients:
        if not settings.YCLIENTS_VERIFY_INSTALLATION:
            return Answer(salon_id, now, details=_details(yclients, salon_id))
        try:
            return Answer(salon_id, now, installation=yclients.installation(salon_id))
        except YClientsError as error:
            log.warning("installation not verified", salon_id=salon_id, signed=signed, cause=str(error))
            if error.status == 403:
                raise NotInstalling from error
            if error.is_busy:
                raise YClientsBusy(max(1, math.ceil(error.retry_after or 1))) from error
            if not signed:
                raise InstallationUnverified from error
            return Answer(salon_id, now)


def _details(yclients: YClients, salon_id: int) -> dict[str, str]:
    try:
        return yclients.company(salon_id)
    except YClientsError as error:
        log.warning("company details not read", salon_id=salon_id, cause=str(error))
        return {}
