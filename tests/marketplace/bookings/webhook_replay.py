"""Random webhooks through the product: stored, repeats recognised, applied as a worker does it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from marketplace.bookings import rows
from marketplace.bookings.visits import SentNotice
from marketplace.models import InboundWebhook, RecordState
from marketplace.webhooks import processing
from tests.marketplace.bookings import random_webhooks
from tests.marketplace.webhook_posts import store
from whatsapp.models import Message


@dataclass
class Result:
    """What the webhooks led to."""

    webhooks: int = 0
    stored: int = 0
    by_status: dict[str, int] = field(default_factory=dict)


def run(
    stream: random_webhooks.WebhookStream,
    *,
    chance: Random,
    sends: float,
    seen: Callable[[int], None] | None = None,
) -> Result:
    """Post them for Moscow, whose booking messages are on; raises AssertionError when a client receives
    something wrong. `seen` is called with the number of each webhook."""
    clients = {record_id: random_webhooks.ClientModel() for record_id in stream.truths}
    for number, body in enumerate(stream.bodies):
        store(body)
        if chance.random() < sends:
            _send_one(chance, clients)
        if body["status"] == "create":
            clients[body["resource_id"]].making_arrived = True
        _work()
        if seen:
            seen(number)
    while _send_one(chance, clients):
        pass
    for record_id, truth in stream.truths.items():
        clients[record_id].check(truth, is_past=record_id in stream.past)
    return _result(stream)


def _work() -> None:
    for pk in processing.BOOKINGS.due(limit=10):
        webhook = InboundWebhook.objects.get(pk=pk)
        assert processing.apply(webhook=webhook) in ("applied", "ignored"), webhook.last_error


def _send_one(chance: Random, clients: dict[int, random_webhooks.ClientModel]) -> bool:
    """Send one of the oldest waiting messages; its client receives it. False when none waits."""
    waiting = list(Message.objects.filter(status="queued").order_by("pk")[:5])
    if not waiting:
        return False
    message = chance.choice(waiting)
    Message.objects.filter(pk=message.pk).update(status="delivered", wa_message_id=f"WA{message.pk}")
    record_id = int((message.external_id or "").split(":")[1])
    one = _notice_of(message, record_id)
    services = tuple(sorted(number or 0 for number, _title in one.visit.services or ()))
    staff = (one.visit.staff and one.visit.staff[0]) or 0
    clients[record_id].receive(one.kind, one.phone, (one.visit.starts_at.isoformat(), staff, services))
    return True


def _notice_of(message: Message, record_id: int) -> SentNotice:
    notices = rows.booking_of(RecordState.objects.get(record_id=record_id)).notices
    [one] = [one for one in notices if one.message == message.pk]
    assert (one.phone, (message.external_id or "").split(":")[3]) == (message.phone, str(one.kind))
    return one


def _result(stream: random_webhooks.WebhookStream) -> Result:
    statuses = list(Message.objects.values_list("status", "error_code"))
    assert {status for status, _code in statuses} <= {"delivered", "failed"}
    assert all(code == "superseded" for status, code in statuses if status == "failed")
    by_status: dict[str, int] = {}
    for status, _code in statuses:
        by_status[status] = by_status.get(status, 0) + 1
    return Result(len(stream.bodies), InboundWebhook.objects.count(), by_status)
