"""Composes webhooks: lifecycle events of an installation and changes of a salon's entities."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sandbox.yclients import payloads
from sandbox.yclients.marketplace import Marketplace, MarketplaceError
from sandbox.yclients.sender import Outgoing, Sender
from sandbox.yclients.settings import SandboxSettings

Order = Literal["as_given", "reversed", "shuffled"]
# Fields that a partial body keeps, so that it is still about something.
PARTIAL_KEEPS = ("id", "company_id", "date", "last_change_date")


@dataclass
class EntityEvent:
    """One change to report. `fields` are laid over the data; `drop` names fields to leave out.

    `resource_id` None makes a new record. `partial` leaves only a handful of fields.
    """

    resource: str = "record"
    status: str = "create"
    resource_id: int | None = None
    fields: dict[str, Any] | None = None
    drop: Sequence[str] = ()
    partial: bool = False
    starts_at: datetime | None = None
    company_id: int | None = None


class Webhooks:
    """Builds what to send; the caller hands it to the sender."""

    def __init__(self, *, settings: SandboxSettings, marketplace: Marketplace, sender: Sender) -> None:
        self._settings = settings
        self._marketplace = marketplace
        self._sender = sender

    def lifecycle(
        self,
        *,
        salon_id: int,
        event: str,
        name_field: Literal["event", "event_type"] = "event",
        partner_token: str | None = None,
        application_id: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Outgoing:
        """An installation's event, to the service's general address. Token and application can be forged."""
        body = {
            "salon_id": salon_id,
            "application_id": application_id or self._settings.application_id,
            name_field: event,
            "partner_token": self._settings.partner_token if partner_token is None else partner_token,
            **(extra or {}),
        }
        return Outgoing(
            kind="lifecycle",
            label=event,
            url=f"{self._settings.product_url}/webhook/yclients",
            body=json.dumps(body, ensure_ascii=False),
            salon_id=salon_id,
        )

    def entities(self, *, salon_id: int, events: Sequence[EntityEvent]) -> list[Outgoing]:
        """Each event to every address that the service registered for the salon; 409 when there is none."""
        urls = self._marketplace.installation(salon_id).webhook_urls
        if not urls:
            raise MarketplaceError(409, f"Salon {salon_id} has no registered webhook addresses.")
        bodies = [(event, self._body(salon_id, event)) for event in events]
        return [
            Outgoing(
                kind="entity",
                label=f"{event.resource} {event.status}",
                url=url,
                body=json.dumps(body, ensure_ascii=False),
                salon_id=salon_id,
            )
            for event, body in bodies
            for url in urls
        ]

    def raw(
        self, *, text: str, salon_id: int | None = None, content_type: str = "application/json"
    ) -> list[Outgoing]:
        """Any text, to the salon's registered addresses, or without a salon to the general one."""
        if salon_id is None:
            urls = [f"{self._settings.product_url}/webhook/yclients"]
        else:
            urls = self._marketplace.installation(salon_id).webhook_urls
        if not urls:
            raise MarketplaceError(409, f"Salon {salon_id} has no registered webhook addresses.")
        return [
            Outgoing("raw", "raw", url, text, salon_id=salon_id, content_type=content_type) for url in urls
        ]

    def _body(self, salon_id: int, event: EntityEvent) -> dict[str, Any]:
        if event.resource == "record":
            resource_id, data = self._record(salon_id, event)
        else:
            resource_id = event.resource_id or 1
            data = payloads.plain(event.resource, resource_id) | (event.fields or {})
        if event.partial:
            data = {name: data[name] for name in PARTIAL_KEEPS if name in data}
        data = {name: value for name, value in data.items() if name not in event.drop}
        return payloads.entity(
            salon_id=event.company_id or salon_id,
            resource=event.resource,
            resource_id=resource_id,
            status=event.status,
            data=data,
        )

    def _record(self, salon_id: int, event: EntityEvent) -> tuple[int, dict[str, Any]]:
        salon = self._marketplace.salon(salon_id)
        now = self._marketplace.clock.now()
        record_id = event.resource_id
        if record_id is None:
            record_id = self._marketplace.next_record_id
            self._marketplace.next_record_id += 1
        known = salon.records.get(record_id)
        record = known or payloads.new_record(
            salon=salon, record_id=record_id, now=now, starts_at=event.starts_at
        )
        changes = dict(event.fields or {})
        if event.status == "delete":
            changes.setdefault("deleted", True)
        if known is not None or changes:
            record = payloads.changed_record(record, salon=salon, now=now, changes=changes)
        salon.records[record_id] = record
        self._marketplace.changed()
        return record_id, record


def arrange(outgoing: Sequence[Outgoing], *, repeat: int = 1, order: Order = "as_given") -> list[Outgoing]:
    """Every item `repeat` times in a row, then turned around or shuffled if asked."""
    items = [item for item in outgoing for _ in range(repeat)]
    if order == "reversed":
        items.reverse()
    elif order == "shuffled":
        random.shuffle(items)
    return items
