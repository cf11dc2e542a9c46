"""What a salon is called and where it stands, read anew when YClients says that it changed.

The webhook is a hint: its data may be partial and its fields are not those of the API, so YClients is asked.
"""

from typing import Any

import structlog
from django.db import transaction
from django.db.models import QuerySet

from marketplace.models import Company
from marketplace.salons import clock
from marketplace.yclients.api import YClients

log = structlog.get_logger("marketplace")

# The address of webhooks for the salon itself is called `salon` among YClients' switches.
NAMES = frozenset({"company.create", "company.update", "salon.create", "salon.update"})
PATIENCE = 8.0  # seconds


def refresh(salon_id: int) -> bool:
    """Ask YClients for the salon's details and keep them; False when they are not news.

    Never call it within a transaction. Raises YClientsError.
    """
    if not _installed().filter(salon_id=salon_id).exists():
        return False
    with YClients(patience=PATIENCE) as yclients:
        told = yclients.company(salon_id)
    with transaction.atomic():
        rows = _installed().select_related("session").defer("session__qr", "session__pairing_code")
        company = rows.select_for_update(of=("self",), no_key=True).filter(salon_id=salon_id).first()
        if company is None:
            return False
        changed: dict[str, Any] = {
            name: value for name, value in told.items() if getattr(company, name) != value
        }
        if not changed:
            return False
        zone = company.timezone_name
        company.move(to=company.status, sources=[company.status], **changed)
        clock.follow(company, before=zone)
    log.info("salon's details changed", salon_id=salon_id, fields=sorted(changed))
    return True


def _installed() -> QuerySet[Company]:
    return Company.objects.exclude(status=Company.Status.UNINSTALLED)
