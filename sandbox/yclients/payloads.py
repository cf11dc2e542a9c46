"""Entity webhooks as YCLIENTS sends them; the record follows a captured payload field by field."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta, timezone
from typing import Any

from sandbox.yclients.salons import Salon

VISIT = timedelta(minutes=25)


def entity(
    *, salon_id: int, resource: str, resource_id: int, status: str, data: dict[str, Any]
) -> dict[str, Any]:
    """The envelope of every entity webhook; the salon's number is called `company_id` here."""
    return {
        "company_id": salon_id,
        "resource": resource,
        "resource_id": resource_id,
        "status": status,
        "data": data,
    }


def new_record(*, salon: Salon, record_id: int, now: datetime, starts_at: datetime | None) -> dict[str, Any]:
    """A booking as it looks when it is made, by default for tomorrow, in the salon's own time."""
    zone = timezone(timedelta(hours=salon.utc_offset))
    start = (starts_at or now + timedelta(days=1)).astimezone(zone).replace(microsecond=0)
    made = now.astimezone(zone)
    return {
        "id": record_id,
        "company_id": salon.id,
        "staff_id": 2835418,
        "clients_count": 1,
        "date": start.strftime("%Y-%m-%d %H:%M:%S"),
        "datetime": start.isoformat(),
        "create_date": _compact(made),
        "last_change_date": _compact(made),
        "comment": "",
        "online": False,
        "visit_id": record_id - 88_000_000 if record_id > 88_000_000 else record_id,
        "visit_attendance": 0,
        "attendance": 0,
        "confirmed": 1,
        "seance_length": int(VISIT.total_seconds()),
        "length": int(VISIT.total_seconds()),
        "deleted": False,
        "paid_full": 0,
        "prepaid": False,
        "is_update_blocked": False,
        "services": [_service()],
        "staff": _staff(),
        "client": new_client(client_id=1),
        "comer": None,
        "goods_transactions": [],
        "sms_remain_hours": 1,
        "record_labels": [],
        "documents": [],
        "short_link": "",
        "composite": [],
    }


def changed_record(
    record: dict[str, Any], *, salon: Salon, now: datetime, changes: dict[str, Any]
) -> dict[str, Any]:
    """The booking after `changes` (top-level fields), with a later `last_change_date`."""
    zone = timezone(timedelta(hours=salon.utc_offset))
    return {**copy.deepcopy(record), "last_change_date": _compact(now.astimezone(zone)), **changes}


def new_client(*, client_id: int) -> dict[str, Any]:
    """A client as a record contains it."""
    return {
        "id": client_id,
        "name": "Иван",
        "surname": "",
        "display_name": "Иван",
        "phone": "+79990000000",
        "email": "",
        "success_visits_count": 3,
        "fail_visits_count": 0,
        "custom_fields": [],
        "client_tags": [],
    }


def plain(resource: str, resource_id: int) -> dict[str, Any]:
    """A small `data` for a resource other than a record."""
    if resource == "client":
        return new_client(client_id=resource_id)
    return {"id": resource_id, "title": f"{resource} {resource_id}"}


def _service() -> dict[str, Any]:
    return {
        "id": 5034676,
        "title": "Стрижка",
        "cost": 4000,
        "cost_to_pay": 4000,
        "manual_cost": 4000,
        "cost_per_unit": 4000,
        "discount": 0,
        "first_cost": 4000,
        "amount": 1,
    }


def _staff() -> dict[str, Any]:
    return {
        "id": 2835418,
        "api_id": None,
        "name": "Анна",
        "specialization": "Барбер",
        "position": {"id": 122084, "title": "Барбер"},
        "rating": 5,
    }


def _compact(moment: datetime) -> str:
    # As captured: no colon in this offset, unlike `datetime`.
    return moment.strftime("%Y-%m-%dT%H:%M:%S%z")
