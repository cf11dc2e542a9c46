"""Ten thousand webhooks about five hundred bookings, shuffled, repeated, partial, some lost: the clients hear
exactly what they must. The same storm through the database is smaller; the whole one is tests/soak/bookings.
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
from tests.marketplace.bookings import kept_storm, storm
from tests.marketplace.bookings.salon import open_salon

NOW = datetime(2025, 7, 13, 9, 0, tzinfo=UTC)


@dataclass
class DeliveryStatus:
    """Bookings with their messages in memory instead of rows."""

    chance: Random
    sends: float  # how likely a waiting message leaves before the next webhook of its booking
    bookings: dict[int, Booking] = field(default_factory=dict)
    clients: dict[int, storm.Clients] = field(default_factory=dict)
    outcomes: dict[int, MessageOutcome] = field(default_factory=dict)
    most_waiting: int = 0

    def take(self, body: Mapping[str, Any]) -> None:
        heard = records.read(body, heard_at=NOW, zone=ZoneInfo("UTC"), region="RU")
        assert heard is not None
        booking = self.bookings.get(heard.record_id, Booking(seen={}))
        clients = self.clients.setdefault(heard.record_id, storm.Clients())
        self._let_some_leave(booking, clients, self.sends)
        clients.making_arrived |= body["status"] == "create"
        decision = decisions.decide(booking, heard, outcomes=self.outcomes, may=lambda *_any: True, now=NOW)
        made = []
        for wanted in decision.make:
            number = len(self.outcomes) + 1
            self.outcomes[number] = MessageOutcome.WAITING
            made.append(SentNotice(number, wanted.kind, wanted.phone, wanted.visit))
        said = (*decision.booking.said, *made)
        self.bookings[heard.record_id] = replace(decision.booking, said=said)
        waiting = [one.phone for one in said if self.outcomes[one.message] is MessageOutcome.WAITING]
        assert len(waiting) == len(set(waiting)), "two messages wait for one client"

    def _let_some_leave(self, booking: Booking, clients: storm.Clients, likely: float) -> None:
        for one in booking.said:
            if self.outcomes[one.message] is MessageOutcome.WAITING and self.chance.random() < likely:
                if self.chance.random() < 0.03 and likely < 1:
                    self.outcomes[one.message], clients.misses_some = MessageOutcome.LOST, True
                else:
                    self.outcomes[one.message] = MessageOutcome.TOLD
                    clients.hear(one.kind, one.phone, _belief(one.visit))

    def end(self, over: storm.Storm) -> None:
        for record_id, booking in self.bookings.items():
            clients = self.clients[record_id]
            self._let_some_leave(booking, clients, 1)
            clients.check(over.truths[record_id], is_past=record_id in over.past)


def _belief(visit: Visit) -> storm.Belief:
    services = tuple(sorted(number or 0 for number, _title in visit.services or ()))
    return visit.starts_at.isoformat(), (visit.staff and visit.staff[0]) or 0, services


@pytest.mark.parametrize("sends", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("seed", [1, 2])
def test_ten_thousand_webhooks_lead_to_exactly_the_right_messages(seed: int, sends: float) -> None:
    over = storm.make(seed=seed, records=500, webhooks=10_000, now=NOW)
    told = DeliveryStatus(chance=Random(seed), sends=sends)
    for body in over.bodies:
        told.take(body)
    told.end(over)
    if sends == 0:
        assert all(clients.heard <= 2 for clients in told.clients.values())


@pytest.mark.parametrize("seed", range(4))
def test_a_booking_stands_the_same_in_whatever_order_its_webhooks_come(seed: int) -> None:
    over = storm.make(seed=seed, records=60, webhooks=300, now=NOW)
    first, second = (DeliveryStatus(chance=Random(seed), sends=0) for _time in range(2))
    for body in over.bodies:
        first.take(body)
    for body in reversed(over.bodies):
        second.take(body)
    for record_id, booking in first.bookings.items():
        assert booking.seen == second.bookings[record_id].seen


@pytest.mark.django_db
def test_a_smaller_storm_through_the_database() -> None:
    open_salon()
    now = datetime.now(UTC).replace(microsecond=0)
    over = storm.make(seed=7, records=25, webhooks=250, now=now + timedelta(minutes=1))
    kept_storm.run(over, chance=Random(7), sends=0.2)
