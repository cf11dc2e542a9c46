"""The personal data of owners whose salons have removed the application: forgotten some time after that.

The number of the YClients user stays: who may connect the salon again is decided by it, and it says nothing
to anybody but YClients.
"""

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q

from marketplace.models import AccessRequest, Company
from whatsapp.messages.retention import BATCH, Batch, Kind, Rows

# The salon's own contacts are often the owner's; YClients tells them anew when the salon comes back.
FORGOTTEN: dict[str, Any] = {
    "marketplace_user_name": "",
    "marketplace_user_phone": "",
    "marketplace_user_email": "",
    "phone": "",
    "email": "",
}


def old_owners(before: datetime) -> Rows:
    """Salons that were uninstalled before, and of which something is still known."""
    known = Q(Exists(AccessRequest.objects.filter(company=OuterRef("pk"))))
    for name in FORGOTTEN:
        known |= ~Q(**{name: ""})
    return Company.objects.filter(known, status=Company.Status.UNINSTALLED, uninstalled_at__lt=before)


def forget_owners(before: datetime, after: int) -> Batch:
    """Do one batch, in the order of the ids."""
    page = old_owners(before).filter(pk__gt=after).order_by("pk")
    keys = list(page.values_list("pk", flat=True)[:BATCH])
    # Asked again in the update: a salon may have come back meanwhile.
    AccessRequest.objects.filter(company__in=old_owners(before).filter(pk__in=keys)).delete()
    changed = Company.objects.filter(
        pk__in=keys, status=Company.Status.UNINSTALLED, uninstalled_at__lt=before
    ).update(**FORGOTTEN)
    return Batch(changed, keys[-1] if len(keys) == BATCH else None)


OWNERS = Kind(
    "owners",
    "RETENTION_OWNER_DAYS",
    "contacts of owners who have removed the application",
    old_owners,
    forget_owners,
)
