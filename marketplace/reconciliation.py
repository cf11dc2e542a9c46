"""Asks YClients what became of frozen salons: a payment's webhook may have been lost."""

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from marketplace import lifecycle
from marketplace.models import Company
from marketplace.yclients import YClients

log = structlog.get_logger("marketplace")


def due(*, limit: int) -> list[int]:
    """Return ids of frozen companies that YClients was not asked about lately."""
    now = timezone.now()
    frozen = Company.objects.filter(
        Q(activation_next_at__isnull=True) | Q(activation_next_at__lte=now), status=Company.Status.FROZEN
    )
    return list(frozen.order_by("activation_next_at")[:limit].values_list("pk", flat=True))


def check(company_id: int) -> None:
    """Ask YClients about one frozen salon; serve it again when it is active there. Raises YClientsError."""
    now = timezone.now()
    claimed = Company.objects.filter(
        Q(activation_next_at__isnull=True) | Q(activation_next_at__lte=now),
        pk=company_id,
        status=Company.Status.FROZEN,
    ).update(activation_next_at=now + lifecycle.CHECK_FROZEN_EVERY)
    if not claimed:
        return
    salon_id = Company.objects.values_list("salon_id", flat=True).get(pk=company_id)
    with YClients() as yclients:
        installation = yclients.installation(salon_id)
    log.info("frozen salon looked up", salon_id=salon_id, installation=installation.status)
    if installation.status != "active":
        return
    with transaction.atomic():
        company = lifecycle.locked(salon_id)
        if company is not None:
            lifecycle.unfreeze(company, by="yclients status")
