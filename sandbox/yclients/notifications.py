"""YCLIENTS as the client of a messaging operator: sends notifications, receives their statuses."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from sandbox.yclients.marketplace import Marketplace, MarketplaceError
from sandbox.yclients.sender import Delivery, Outgoing, Sender
from sandbox.yclients.settings import SandboxSettings

CALLBACK_PATH = "/api/v1/sms/delivery"
STATUS_WORDS = {
    8: "передано оператору",
    4: "отправлено",
    1: "доставлено",
    2: "не доставлено",
    16: "отклонено оператором",
    52: "недостаточно средств",
}
# With these the operator always says what the message cost, even when that is nothing.
PRICED = (8, 1)


@dataclass
class StatusEntry:
    """One status report as it came."""

    at: str
    status: int
    payment_sum: float | None
    currency_iso: str | None
    parts_amount: int | None


@dataclass
class Notification:
    """One message given to the operator, with what the operator said about it."""

    id: str
    salon_id: int
    phone: str
    text: str
    channel: str
    sent_at: str
    http_status: int | None = None
    ext_id: str | None = None
    error_code: int | None = None
    error_message: str | None = None
    statuses: list[StatusEntry] = field(default_factory=list)


@dataclass
class Destination:
    """A phone and the id of its message; the id is made up when not given."""

    phone: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass
class Shape:
    """How the body is spelled: the inner names are not documented, so a service must take several.

    `as_object` sends one destination as an object instead of a list; `auth` chooses the bearer key;
    `name_salon` adds `salon_id` to the body.
    """

    id_name: str = "id"
    phone_name: str = "phone"
    as_object: bool = False
    auth: Literal["api_key", "partner_token", "wrong", "none"] = "api_key"
    name_salon: bool = False


class Notifier:
    """Sends to `/yclients/messages/` of the service and keeps every message with its statuses."""

    def __init__(self, *, settings: SandboxSettings, marketplace: Marketplace, sender: Sender) -> None:
        self.callback_base = ""
        self.notifications: dict[str, Notification] = {}
        self._settings = settings
        self._marketplace = marketplace
        self._sender = sender

    async def send(
        self,
        *,
        salon_id: int,
        destinations: Sequence[Destination],
        text: str,
        channel: str = "whatsapp",
        dispatch_type: str = "service",
        sender_name: str = "",
        callback_url: str | None = None,
        shape: Shape | None = None,
    ) -> tuple[list[Notification], Delivery]:
        """One request with all destinations; waits for its answer. The same id again is a repeat."""
        how = shape or Shape()
        rows = [self._keep(salon_id, target, text, channel) for target in destinations]
        params = [{how.id_name: target.id, how.phone_name: target.phone} for target in destinations]
        body: dict[str, Any] = {
            "destination_params": params[0] if how.as_object and len(params) == 1 else params,
            "from": sender_name,
            "text": text,
            "channel": channel,
            "dispatch_type": dispatch_type,
            "delivery_callback_url": callback_url or self.callback_url,
        }
        if how.name_salon:
            body["salon_id"] = salon_id
        outgoing = Outgoing(
            kind="notification",
            label=f"{channel} {len(rows)}",
            url=f"{self._settings.product_url}/yclients/messages/",
            body=json.dumps(body, ensure_ascii=False),
            salon_id=salon_id,
            headers={"Accept": self._settings.accept, **self._authorization(salon_id, how)},
            tries=1,
        )
        delivery = (await self._sender.send([outgoing]))[0]
        self._note_answer(rows, delivery)
        return rows, delivery

    @property
    def callback_url(self) -> str:
        """Where statuses are expected. It contains the partner token, as YCLIENTS' does: never log it."""
        return f"{self.callback_base}{CALLBACK_PATH}/{quote(self._settings.partner_token, safe='')}"

    def receive(self, notification_id: str, entry: StatusEntry) -> bool:
        """Keep a status report; False when the message is not ours."""
        notification = self.notifications.get(notification_id)
        if notification is None:
            return False
        notification.statuses.append(entry)
        return True

    def _keep(self, salon_id: int, target: Destination, text: str, channel: str) -> Notification:
        now = self._marketplace.clock.now().isoformat()
        fresh = Notification(target.id, salon_id, target.phone, text, channel, now)
        return self.notifications.setdefault(target.id, fresh)

    def _authorization(self, salon_id: int, how: Shape) -> dict[str, str]:
        if how.auth == "none":
            return {}
        if how.auth == "wrong":
            return {"Authorization": "Bearer not-a-key-of-anybody"}
        if how.auth == "partner_token":
            return {"Authorization": f"Bearer {self._settings.partner_token}"}
        keys = self._marketplace.installation(salon_id).api_keys
        if not keys:
            raise MarketplaceError(409, f"Salon {salon_id} has not received an API key yet.")
        return {"Authorization": f"Bearer {keys[-1]}"}

    def _note_answer(self, rows: Sequence[Notification], delivery: Delivery) -> None:
        answers = _answer_rows(delivery)
        for index, row in enumerate(rows):
            row.http_status = delivery.last_status
            answer = answers[index] if index < len(answers) else {}
            row.ext_id = answer.get("ext_id", row.ext_id)
            row.error_code = answer.get("error_code")
            row.error_message = answer.get("error_message")


def _answer_rows(delivery: Delivery) -> list[dict[str, Any]]:
    """The operator's answers in the order of the request; nothing when it answered something else."""
    text = delivery.attempts[-1].answer if delivery.attempts else ""
    try:
        answer = json.loads(text)
    except ValueError:
        return []
    rows = answer if isinstance(answer, list) else [answer]
    return [row if isinstance(row, dict) else {} for row in rows]
