"""Random webhooks about many bookings, and what the clients must have received in the end.

The webhooks of a booking's history are shuffled with all others, repeated and made partial, some are lost.
The model knows nothing of how the product decides: it plays the clients, who believe what they are told, and
compares what they believe with how the bookings stand.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

SALON = 307626
CLIENTS: list[dict[str, Any] | None] = [
    {"id": 1, "name": "Иван", "phone": "+79990000001"},
    {"id": 2, "name": "Ольга", "phone": "+79990000002"},
    {"id": 3, "name": "Без телефона", "phone": ""},
    None,
]
STAFF = [{"id": number, "name": name} for number, name in ((1, "Анна"), (2, "Борис"), (3, "Вера"))]
SERVICES = [{"id": number, "title": f"Услуга {number}"} for number in range(1, 5)]

Truth = dict[str, Any]
# What a client knows of a visit: time, staff, services.
Belief = tuple[str, int, tuple[int, ...]]


@dataclass
class WebhookStream:
    """The bodies in the order in which they arrive, and how each booking stands after its history."""

    bodies: list[dict[str, Any]]
    truths: dict[int, Truth]
    past: set[int] = field(default_factory=set)


def make(*, seed: int, records: int, webhooks: int, now: datetime) -> WebhookStream:
    """Make at least so many webhooks about so many bookings."""
    chance = random.Random(seed)
    stream = WebhookStream(bodies=[], truths={})
    histories = [list(_history(chance, record_id, now, stream)) for record_id in range(1, records + 1)]
    sent = [body for history in histories for body in history]
    while len(stream.bodies) < webhooks:
        stream.bodies += [body for body in sent for _time in range(chance.choice((1, 1, 1, 2, 4)))]
    chance.shuffle(stream.bodies)
    return stream


def _history(
    chance: random.Random, record_id: int, now: datetime, stream: WebhookStream
) -> Iterator[dict[str, Any]]:
    """What YClients says of one booking; the stream notes how it stands in the end."""
    is_past = chance.random() < 0.1
    if is_past:
        stream.past.add(record_id)
    changed_at = now - timedelta(days=chance.randint(2, 5))
    state = _fresh(chance, now, is_past=is_past)
    truth: Truth = {}
    loses_making = chance.random() < 0.15
    for number in range(chance.randint(1, 7)):
        changes = state if number == 0 else _change(chance, now, is_past=is_past)
        state = {**state, **changes}
        changed_at += timedelta(seconds=chance.choice((1, 1, 60, 4000)))
        said = dict(changes) if number and chance.random() < 0.3 else dict(state)
        status = "create" if number == 0 else "delete" if said.get("deleted") else "update"
        if (number == 0 and loses_making) or (number and chance.random() < 0.05):
            continue  # lost on the way
        truth.update(said)
        data = {"id": record_id, "last_change_date": changed_at.isoformat(), **said}
        body = {"company_id": SALON, "resource": "record", "resource_id": record_id, "status": status}
        yield {**body, "data": data}
    stream.truths[record_id] = truth


def _fresh(chance: random.Random, now: datetime, *, is_past: bool) -> Truth:
    return {
        "datetime": _start(chance, now, is_past=is_past),
        "staff": chance.choice(STAFF),
        "services": chance.sample(SERVICES, 2),
        "client": chance.choice(CLIENTS[:2] * 4 + CLIENTS),
        "attendance": 0,
        "deleted": False,
    }


def _change(chance: random.Random, now: datetime, *, is_past: bool) -> Truth:
    changes: list[Truth] = [
        {"datetime": _start(chance, now, is_past=is_past)},
        {"staff": chance.choice(STAFF)},
        {"services": chance.sample(SERVICES, chance.randint(1, 2))},
        {"attendance": chance.choice((0, 2))},
        {"client": chance.choice(CLIENTS)},
        {"deleted": chance.random() < 0.7},
    ]
    return chance.choice(changes)


def _start(chance: random.Random, now: datetime, *, is_past: bool) -> str:
    days = timedelta(days=chance.randint(1, 4), hours=1)
    return (now - days if is_past else now + days).astimezone(UTC).isoformat()


@dataclass
class ClientModel:
    """The clients of one booking: they believe what they are told, and every message must be news."""

    making_arrived: bool = False
    misses_some: bool = False  # a message could not be delivered
    received: int = 0
    believed: dict[str, Belief] = field(default_factory=dict)

    def receive(self, kind: str, phone: str, visit: Belief) -> None:
        """Take a message; what is not known of a booking whose making was not seen may be changed."""
        self.received += 1
        knows = self.believed.get(phone)
        if kind == "created":
            assert knows is None, "told of the making of a booking that he knows"
        else:
            must_know = self.making_arrived and not self.misses_some
            assert knows is not None or not must_know, f"{kind}, but nobody wrote to him of this booking"
        if kind == "moved":
            assert knows != visit, "told again what he knows"
        if kind == "cancelled":
            self.believed.pop(phone, None)
        else:
            self.believed[phone] = visit

    def check(self, truth: Truth, *, is_past: bool) -> None:
        """After the last message has arrived they know how the booking stands."""
        if self.misses_some:
            return
        client = truth.get("client") or {}
        phone = str(client.get("phone") or "").lstrip("+")
        if is_past:
            assert self.believed == {}, "told of a visit that is over"
        elif truth.get("deleted"):
            assert self.believed == {}, "not told of the cancellation"
        elif phone and "datetime" in truth:
            assert self.believed.keys() <= {phone}, "the former client was not told"
            known = self.believed.get(phone)
            assert (known is None and not self.making_arrived) or (
                known is not None and _agree(known, belief_of(truth))
            ), f"he believes {known}, but it is {belief_of(truth)}"


def _agree(known: Belief, true: Belief) -> bool:
    """What he was not told, because nobody had said it yet, he cannot have wrong."""
    return all(not part or part == actual for part, actual in zip(known, true, strict=True))


def belief_of(truth: Truth) -> Belief:
    """How a client would put it."""
    services = tuple(sorted(each["id"] for each in truth.get("services", ())))
    return truth["datetime"], truth["staff"]["id"] if "staff" in truth else 0, services
