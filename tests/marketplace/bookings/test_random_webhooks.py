"""Ten thousand webhooks about five hundred bookings, shuffled, repeated, partial, some lost: the clients
receive exactly what they must. The run through the database is smaller; the whole one is tests/soak/bookings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketplace.bookings import decisions, records
from marketplace.bookings.decisions import MessageOutcome
from marketplace.bookings.visits import Booking, SentNotice, Visit
from tests.marketplace.bookings import random_webhooks, webhook_replay
from tests.marketplace.bookings.salon import open_salon

NOW = datetime(2025, 7, 13, 9, 0, tzinfo=UTC)


@dataclass
class InMemoryBookings:
    """Bookings with their messages in memory instead of rows."""

    chance: Random
    sends: float  # how likely a waiting message leaves before the next webhook of its booking
    bookings: dict[int, Booking] = field(default_factory=dict)
    clients: dict[int, random_webhooks.ClientModel] = field(default_factory=dict)
    outcomes: dict[int, MessageOutcome] = field(default_factory=dict)
    most_waiting: int = 0

    def apply(self, body: Mapping[str, Any]) -> None:
        change = records.parse(body, received_at=NOW, zone=ZoneInfo("UTC"), region="RU")
        assert change is not None
        booking = self.bookings.get(change.record_id, Booking(fields={}))
        clients = self.clients.setdefault(change.record_id, random_webhooks.ClientModel())
        self._send_some(booking, clients, self.sends)
        clients.making_arrived |= body["status"] == "create"
        decision = decisions.decide(booking, change, outcomes=self.outcomes, may=lambda *_any: True, now=NOW)
        made = []
        for wanted in decision.queue:
            number = len(self.outcomes) + 1
            self.outcomes[number] = MessageOutcome.WAITING
            made.append(SentNotice(number, wanted.kind, wanted.phone, wanted.visit))
        notices = (*decision.booking.notices, *made)
        self.bookings[change.record_id] = replace(decision.booking, notices=notices)
        waiting = [one.phone for one in notices if self.outcomes[one.message] is MessageOutcome.WAITING]
        assert len(waiting) == len(set(waiting)), "two messages wait for one client"

    def _send_some(self, booking: Booking, clients: random_webhooks.ClientModel, likely: float) -> None:
        for one in booking.notices:
            if self.outcomes[one.message] is MessageOutcome.WAITING and self.chance.random() < likely:
                if self.chance.random() < 0.03 and likely < 1:
                    self.outcomes[one.message], clients.misses_some = MessageOutcome.LOST, True
                else:
                    self.outcomes[one.message] = MessageOutcome.REACHED
                    clients.receive(one.kind, one.phone, _belief(one.visit))

    def end(self, stream: random_webhooks.WebhookStream) -> None:
        for record_id, booking in self.bookings.items():
            clients = self.clients[record_id]
            self._send_some(booking, clients, 1)
            clients.check(stream.truths[record_id], is_past=record_id in stream.past)


def _belief(visit: Visit) -> random_webhooks.Belief:
    services = tuple(sorted(number or 0 for number, _title in visit.services or ()))
    return visit.starts_at.isoformat(), (visit.staff and visit.staff[0]) or 0, services


@pytest.mark.parametrize("sends", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("seed", [1, 2])
def test_ten_thousand_webhooks_lead_to_exactly_the_right_messages(seed: int, sends: float) -> None:
    stream = random_webhooks.make(seed=seed, records=500, webhooks=10_000, now=NOW)
    bookings = InMemoryBookings(chance=Random(seed), sends=sends)
    for body in stream.bodies:
        bookings.apply(body)
    bookings.end(stream)
    if sends == 0:
        assert all(clients.received <= 2 for clients in bookings.clients.values())


@pytest.mark.parametrize("seed", range(4))
def test_a_booking_stands_the_same_in_whatever_order_its_webhooks_come(seed: int) -> None:
    stream = random_webhooks.make(seed=seed, records=60, webhooks=300, now=NOW)
    first, second = (InMemoryBookings(chance=Random(seed), sends=0) for _time in range(2))
    for body in stream.bodies:
        first.apply(body)
    for body in reversed(stream.bodies):
        second.apply(body)
    for record_id, booking in first.bookings.items():
        assert booking.fields == second.bookings[record_id].fields


@pytest.mark.django_db
def test_random_webhooks_through_the_database() -> None:
    open_salon()
    now = datetime.now(UTC).replace(microsecond=0)
    stream = random_webhooks.make(seed=7, records=25, webhooks=250, now=now + timedelta(minutes=1))
    webhook_replay.run(stream, chance=Random(7), sends=0.2)
