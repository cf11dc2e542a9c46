"""Parses what YClients says of a booking. Pure.

The form is that of captured webhooks (YCLIENTS API reference, section "Records"). `data` can be partial: a
field that is missing, or makes no sense, is left out, and what was known of it stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from marketplace.models.rendering import one_line
from marketplace.salons.phone_numbers import NotAPhone, digits_of

# A time of change that lies further ahead than clocks differ would silence every later change.
CLOCKS_DIFFER = timedelta(hours=1)
# A booking that has not changed since it was made this lately is new, whatever the webhook calls it.
STILL_NEW = timedelta(hours=1)
MOST_SERVICES = 30
LARGEST_ID = 2**63 - 1
RANKS = {"create": 0, "update": 1, "delete": 2}


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """As of when a field is so: the record's `last_change_date` in UTC as sortable text; within one
    second a deletion is later than a change, and that later than the making."""

    at: str
    rank: int


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One webhook about a booking.

    `fields` has those that the webhook has, ready for JSON: `start` (ISO 8601 with offset), `staff` ([id,
    name]), `services` (a list of such), `client` ([id, name, phone digits] or None), `attendance`, `deleted`.
    """

    record_id: int
    stamp: Stamp
    is_create: bool
    fields: dict[str, Any]


def parse(
    body: Mapping[str, Any], *, received_at: datetime, zone: ZoneInfo, region: str
) -> RecordChange | None:
    """Return what the webhook says; None when it does not name its booking.

    `zone` is the salon's clock, for times without an offset, and `region` its country, for national phone
    numbers. A body without a usable `last_change_date` counts as changed when it was received.
    """
    data = body.get("data")
    data = data if isinstance(data, Mapping) else {}
    record_id = _number(body.get("resource_id")) or _number(data.get("id"))
    if record_id is None:
        return None
    status = str(body.get("status") or "update").lower()
    changed_at = _moment(data.get("last_change_date"), zone)
    if changed_at is None or changed_at > received_at + CLOCKS_DIFFER:
        changed_at = received_at
    return RecordChange(
        record_id=record_id,
        stamp=Stamp(changed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), RANKS.get(status, 1)),
        is_create=status == "create" or _unchanged_since_made(data, changed_at, received_at, zone),
        fields=_fields(data, status, zone=zone, region=region),
    )


def _unchanged_since_made(
    data: Mapping[str, Any], changed_at: datetime, received_at: datetime, zone: ZoneInfo
) -> bool:
    made_at = _moment(data.get("create_date"), zone)
    return made_at == changed_at and received_at - changed_at <= STILL_NEW


def _fields(data: Mapping[str, Any], status: str, *, zone: ZoneInfo, region: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    start = _moment(data.get("datetime"), zone) or _moment(data.get("date"), zone)
    if start is not None:
        fields["start"] = start.isoformat()
    if (staff := _staff(data)) is not None:
        fields["staff"] = staff
    if isinstance(data.get("services"), list):
        services = [_named(each, "title") for each in data["services"][:MOST_SERVICES]]
        fields["services"] = [each for each in services if each is not None]
    if "client" in data and isinstance(data["client"], Mapping | None):
        fields["client"] = _client(data["client"], region)
    if isinstance(data.get("attendance"), int):
        fields["attendance"] = int(data["attendance"])
    if status == "delete":
        fields["deleted"] = True
    elif data.get("deleted") is not None:
        fields["deleted"] = str(data["deleted"]).lower() in ("true", "1")
    elif status == "create":
        fields["deleted"] = False
    return fields


def _staff(data: Mapping[str, Any]) -> list[Any] | None:
    if isinstance(data.get("staff"), Mapping):
        return _named(data["staff"], "name")
    staff_id = _number(data.get("staff_id"))
    return [staff_id, ""] if staff_id is not None else None


def _named(value: Any, key: str) -> list[Any] | None:
    if not isinstance(value, Mapping):
        return None
    number, name = _number(value.get("id")), _text(value.get(key))
    return [number, name] if number is not None or name else None


def _client(value: Mapping[str, Any] | None, region: str) -> list[Any] | None:
    """[id, name, phone]; None for a record without a client. What is no phone number counts as none."""
    if not value:
        return None
    try:
        phone = digits_of(str(value.get("phone") or ""), region=region)
    except NotAPhone:
        phone = ""
    name = _text(value.get("name")) or _text(value.get("display_name"))
    return [_number(value.get("id")), name, phone]


def _text(value: Any) -> str:
    return one_line(value) if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_ID:
        return value
    return None


def _moment(value: Any, zone: ZoneInfo) -> datetime | None:
    """An ISO 8601 time, whatever its separator and offset; one without an offset is by the salon's clock."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        moment.astimezone(UTC)  # the year 9999 is in range here and out of it in another zone
    except (ValueError, OverflowError):
        return None
    return moment if moment.year > 1970 else None
