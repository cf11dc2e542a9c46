"""How fast a notification goes from YClients to the client's phone and its ticks back, and where time goes.

    .venv/bin/python -m bench.chain
    .venv/bin/python -m bench.chain --messages 3000 --salons 20

Real processes with pacing off: a durable PostgreSQL, Redis, web, pool, engine hosts with the real library,
worker, and the stand-ins of YClients and WhatsApp on the same machine, whose processor time is shown too.
`bench.operator` measures the operator endpoint alone.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from bench.processes import cpu_seconds, family
from tests.deployments import PRODUCT, Deployment, production_deployment
from tests.linking import link_salon
from tests.processes import wait_until
from tests.server import temporary_folder
from tests.servers import Postgres, start_postgres, start_redis

FIRST_SALON = 501
REQUEST = 100  # messages in one request of the burst
PATIENCE = 600.0  # seconds
ROWS = (
    "SELECT split_part(external_id, ':', 2), wa_message_id, extract(epoch FROM created_at)::float,"
    " extract(epoch FROM sending_at)::float, extract(epoch FROM sent_at)::float"
    " FROM whatsapp_message WHERE source = 'operator' AND sent_at IS NOT NULL"
)
STAGES = (
    "asked to committed",
    "committed to claimed",
    "claimed to acknowledged",
    "asked to the phone",
    "asked to YClients told 4",
    "asked to YClients told 1",
)


@contextmanager
def product(salons: list[int]) -> Iterator[tuple[Deployment, Postgres]]:
    """The product on servers of its own, every salon linked."""
    with start_postgres(durable=True) as postgres, start_redis() as redis:
        system = production_deployment(
            folder=temporary_folder("bench-chain"),
            database_url=postgres.create_database("bench"),
            redis_url=redis.url,
            SENDING_PACED="false",
            ARRIVALS_PER_MINUTE="100000",
            LOG_LEVEL="WARNING",
        )
        # Their start is known from what they say.
        system.processes["worker"].environment["LOG_LEVEL"] = "INFO"
        try:
            system.manage("migrate", seconds=300.0)
            system.start(*PRODUCT)
            with ThreadPoolExecutor(4) as owners:

                def link(salon: int) -> None:
                    link_salon(system, salon=salon, phone=f"7900{salon:07d}")

                list(owners.map(link, salons))
            yield system, postgres
        finally:
            system.close()


class Clock:
    """When each message was asked for, committed, claimed, acknowledged, at the phone and reported."""

    def __init__(self, system: Deployment) -> None:
        self.system = system
        self._seen = 0
        self._at_phone: dict[str, float] = {}

    def at_phone(self) -> int:
        """How many messages phones have received so far."""
        for event in self.system.whatsapp.get(f"/journal?since={self._seen}")["events"]:
            self._seen = event["seq"]
            if event["kind"] == "received":
                self._at_phone.setdefault(event["id"], event["wall"])
        return len(self._at_phone)

    def told(self) -> list[dict[str, Any]]:
        """YClients' messages with their statuses."""
        return list(self.system.yclients.get("/control/notifications")["notifications"])

    def stages(self, own_ids: set[str]) -> list[dict[str, float]]:
        """Seconds of each stage, for each of these messages."""
        self.at_phone()
        rows = {row[0]: row[1:] for row in self.system.query(ROWS) if row[0] in own_ids}
        told = {one["id"]: one for one in self.told() if one["id"] in own_ids}
        return [self._stages_of(told[own_id], *row) for own_id, row in rows.items()]

    def _stages_of(
        self, one: dict[str, Any], wa_id: str, made: float, claimed: float, acknowledged: float
    ) -> dict[str, float]:
        asked = seconds_of(one["sent_at"])
        reported = {entry["status"]: seconds_of(entry["at"]) for entry in reversed(one["statuses"])}
        spans = (
            made - asked,
            claimed - made,
            acknowledged - claimed,
            self._at_phone[wa_id] - asked,
            reported[4] - asked,
            reported[1] - asked,
        )
        return dict(zip(STAGES, spans, strict=True))


def seconds_of(moment: str) -> float:
    """Seconds since the epoch of an ISO 8601 time."""
    return datetime.fromisoformat(moment).timestamp()


def at_idle(system: Deployment, clock: Clock, phones: list[str]) -> list[dict[str, float]]:
    """One message after the other, each sent when the last is all told."""
    own_ids: set[str] = set()
    for number, phone in enumerate(phones):
        one = system.yclients.notify(FIRST_SALON, f"Ждём вас, №{number}", phone)[0]
        own_ids.add(one["id"])
        wait_until(lambda one=one: is_told(system, one["id"]), "all is told", seconds=PATIENCE)  # type: ignore[misc]
    return clock.stages(own_ids)


def is_told(system: Deployment, own_id: str) -> bool:
    return any(entry["status"] == 1 for entry in system.yclients.notification(own_id)["statuses"])


def burst(
    system: Deployment, clock: Clock, salons: list[int], phones: list[str], messages: int
) -> tuple[dict[str, float], set[str]]:
    """All at once; seconds until everything is taken, at the phones, and told."""
    before, began = clock.at_phone(), time.monotonic()
    own_ids: set[str] = set()
    for number in range(messages // REQUEST):
        chosen = [phones[(number * REQUEST + place) % len(phones)] for place in range(REQUEST)]
        text, salon = f"Сообщение {number}", salons[number % len(salons)]
        own_ids |= {one["id"] for one in system.yclients.notify(salon, text, *chosen)}
    took = {"taken": time.monotonic() - began}
    until(lambda: clock.at_phone() - before >= messages, "all are at the phones")
    took["at the phones"] = time.monotonic() - began
    until(lambda: all_told(clock, own_ids), "YClients knows all")
    took["told"] = time.monotonic() - began
    return took, own_ids


def all_told(clock: Clock, own_ids: set[str]) -> bool:
    told = [one for one in clock.told() if one["id"] in own_ids]
    return all(any(entry["status"] == 1 for entry in one["statuses"]) for one in told)


def until(condition: Callable[[], bool], what: str) -> None:
    """Asks seldom, because asking costs the stand-ins time that the chain needs."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"after {PATIENCE:.0f} s: not {what}")
        time.sleep(0.5)


def cpu(system: Deployment, postgres: Postgres) -> dict[str, float]:
    """Processor seconds so far; the pool's hosts apart."""
    pids = {name: system.processes[name].pid for name in system.processes}
    spent = {name: cpu_seconds([pid]) for name, pid in pids.items()}
    spent["engine hosts"] = cpu_seconds(family(pids["pool"])[1:])
    return {**spent, "postgres": cpu_seconds(family(postgres.pid))}


def show_stages(title: str, stages: list[dict[str, float]]) -> None:
    """Print a table of milliseconds."""
    print(f"\n{title} ({len(stages)} messages){'p50 ms':>14}{'p99 ms':>10}")
    for name in STAGES:
        values = sorted(1000 * one[name] for one in stages)
        worst = statistics.quantiles(values, n=100, method="inclusive")[98]
        print(f"  {name:36}{statistics.median(values):10.1f}{worst:10.1f}")


def show_burst(messages: int, took: dict[str, float], spent: dict[str, float]) -> None:
    """Print how long everything took, and what a message cost each process."""
    print(f"\n{messages} messages at once")
    for name, seconds in took.items():
        print(f"  {name:36}{seconds:10.1f} s{messages / seconds:10.1f} messages/s")
    print("  processor milliseconds a message")
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"    {name:34}{1000 * seconds / messages:10.2f}")


def main() -> None:
    """Link, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=2000, help="of the burst")
    parser.add_argument("--salons", type=int, default=10)
    parser.add_argument("--singles", type=int, default=60, help="messages at idle, twice")
    said = parser.parse_args()
    salons = list(range(FIRST_SALON, FIRST_SALON + said.salons))
    with product(salons) as (system, postgres):
        phones = [f"7999{number:07d}" for number in range(max(said.singles, 200))]
        for phone in phones:
            system.whatsapp.add_phone(phone)
        clock = Clock(system)
        at_idle(system, clock, phones[-3:])
        show_stages("first to a number", at_idle(system, clock, phones[: said.singles]))
        show_stages("to a known number", at_idle(system, clock, phones[: said.singles]))
        before = cpu(system, postgres)
        took, own_ids = burst(system, clock, salons, phones, said.messages)
        after = cpu(system, postgres)
        show_burst(len(own_ids), took, {name: after[name] - before[name] for name in after})


if __name__ == "__main__":
    main()
