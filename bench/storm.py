"""Sends thousands of notifications while every part of the product is killed or restarted at random moments.

    .venv/bin/python -m bench.storm
    .venv/bin/python -m bench.storm --messages 300 --salons 5 --seconds 40 --seed 7

Real processes: a durable PostgreSQL, Redis, web, pool with its engine hosts, worker, and the stand-ins of
YClients and WhatsApp, which alone are left in peace. A request that gets no answer is repeated with the same
ids, as YClients may. At the end every message must be accounted for: one row in one final state, at the
phone unless the row says otherwise, and what YClients was told in agreement with both. The exit code is 1
when anything is wrong; a seed repeats the plan of what falls when.
"""

import argparse
import json
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.accounts import Verdict, judge, open_rows
from bench.breaking import Breaker, plan
from tests.deployments import PRODUCT, Deployment, production_deployment
from tests.linking import link_salon
from tests.server import temporary_folder
from tests.servers import Postgres, Redis, start_postgres, start_redis
from tests.stand_ins import OutsideError, YClients

CLIENTS = 100
LARGEST_REQUEST = 20
ENDS_WITHIN = 600.0  # seconds from the last blow until nothing is under way
RECEIPTS_WITHIN = 30.0
SETTINGS = {
    "ARRIVALS_PER_MINUTE": "100000",
    "POOL_LEASE_SECONDS": "6",
    "POOL_SHARD_SIZE": "7",
    "SENDING_PACED": "false",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request of YClients with a text of its own, `at` seconds after the storm began."""

    at: float
    salon: int
    text: str
    targets: list[dict[str, str]]


class Story:
    """Lines with the time since the storm began, on the screen and in a file."""

    def __init__(self, path: Path) -> None:
        self.began = time.monotonic()
        self._file = path.open("w")
        self._lock = threading.Lock()

    def say(self, words: str) -> None:
        """Write one line."""
        with self._lock:
            line = f"[{time.monotonic() - self.began:6.1f} s] {words}"
            self._file.write(line + "\n")
            self._file.flush()
            sys.stderr.write(line + "\n")


@contextmanager
def product(salons: list[int]) -> Iterator[tuple[Deployment, Postgres, Redis]]:
    """The product on servers of its own, every salon linked."""
    with start_postgres(durable=True) as postgres, start_redis() as redis:
        system = production_deployment(
            folder=temporary_folder("bench-storm"),
            database_url=postgres.create_database("storm"),
            redis_url=redis.url,
            forked=False,
            **SETTINGS,
        )
        try:
            system.manage("migrate", seconds=300.0)
            system.start(*PRODUCT)
            with ThreadPoolExecutor(4) as owners:
                list(
                    owners.map(
                        lambda salon: link_salon(system, salon=salon, phone=f"7900{salon:07d}"), salons
                    )
                )
            yield system, postgres, redis
        finally:
            system.close()


def requests_of(*, seed: int, messages: int, salons: list[int], seconds: float) -> list[Request]:
    """What YClients sends when: requests of a few messages each, spread over the whole storm."""
    dice = random.Random(seed)
    made: list[Request] = []
    left = messages
    while left:
        size = min(left, dice.randint(1, LARGEST_REQUEST))
        left -= size
        phones = dice.sample([client(number) for number in range(CLIENTS)], size)
        ids = [{"id": uuid.UUID(int=dice.getrandbits(128)).hex, "phone": phone} for phone in phones]
        made.append(Request(dice.uniform(0, seconds), dice.choice(salons), f"Сообщение {len(made)} 💈", ids))
    return sorted(made, key=lambda request: request.at)


def client(number: int) -> str:
    """The phone of a client."""
    return f"7999{number:07d}"


def send(there: YClients, request: Request, began: float) -> int:
    """Send until it is taken; how many times it took."""
    time.sleep(max(0.0, began + request.at - time.monotonic()))
    for tries in range(1, 1000):
        try:
            rows = there.notify(request.salon, request.text, destinations=request.targets)
        except OutsideError as error:
            raise SystemExit(f"the stand-in refused: {error}") from error
        if all(row["ext_id"] for row in rows):
            return tries
        if any(row["http_status"] not in (None, 500, 503) for row in rows):
            raise SystemExit(f"refused: {rows[0]['http_status']} {rows[0]['error_message']}")
        time.sleep(0.5)
    raise SystemExit("a request was never taken")


def storm(
    system: Deployment, breaker: Breaker, said: argparse.Namespace, story: Story, salons: list[int]
) -> int:
    """The storm itself; how many requests had to be repeated."""
    asked = requests_of(seed=said.seed, messages=said.messages, salons=salons, seconds=said.seconds)
    began = story.began = time.monotonic()
    blows = plan(seed=said.seed, seconds=said.seconds)
    with ThreadPoolExecutor(9) as hands:
        breaking = hands.submit(breaker.run, blows, began=began)
        sending = [hands.submit(send, system.yclients, request, began) for request in asked]
        tries = [future.result() for future in sending]
        story.say(f"all {len(asked)} requests were taken")
        breaking.result()
    return sum(number > 1 for number in tries)


def settle(system: Deployment, story: Story) -> float:
    """Wait until nothing changes any more; seconds. Receipts that have not come by then are lost."""
    started = time.monotonic()
    while True:
        left, waited = open_rows(system), time.monotonic() - started
        if waited > RECEIPTS_WITHIN:
            del left["without receipt"]
        if not any(left.values()):
            return waited
        if waited > ENDS_WITHIN:
            story.say(f"this did not end: {left}")
            return waited
        time.sleep(0.2)


def report(verdict: Verdict, breaker: Breaker, more: dict[str, Any]) -> dict[str, Any]:
    """All figures as one JSON object."""
    allowed = breaker.hosts_killed
    worst = max(verdict.duplicates.values(), default=0)
    if worst > allowed:
        verdict.wrong.append(f"{worst} duplicates in one session, {allowed} hosts were killed")
    return {
        **more,
        "fallen": dict(sorted(breaker.counts.items())),
        "hosts_killed": breaker.hosts_killed,
        "states": dict(verdict.states),
        "attempts": verdict.attempts,
        "duplicates_at_phones": sum(verdict.duplicates.values()),
        "duplicates_of_one_session": worst,
        "not_at_the_phone": verdict.missing,
        "receipts_lost": len(verdict.receipts_lost),
        "receipts_lost_at": sorted(round(at - breaker.began, 1) for at in verdict.receipts_lost),
        "reports_repeated": verdict.repeated_reports,
        "wrong": verdict.wrong,
    }


def main() -> None:
    """Run one storm and print its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--salons", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120, help="length of the storm")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--log", type=Path, default=Path("storm.log"), help="what fell when")
    said = parser.parse_args()
    salons = list(range(501, 501 + said.salons))
    story = Story(said.log)
    with product(salons) as (system, postgres, redis):
        for number in range(CLIENTS):
            system.whatsapp.add_phone(client(number), auto_read=number % 2 == 0)
        story.say(f"{said.salons} salons are linked; seed {said.seed}")
        breaker = Breaker(system, postgres, redis, story.say)
        repeated = storm(system, breaker, said, story, salons)
        waited = settle(system, story)
        story.say(f"nothing is under way any more, {waited:.1f} s after the last blow")
        asked = requests_of(seed=said.seed, messages=said.messages, salons=salons, seconds=said.seconds)
        wanted = {target["id"] for request in asked for target in request.targets}
        verdict = judge(system, wanted=wanted, phones=[client(number) for number in range(CLIENTS)])
        more = {"seed": said.seed, "messages": len(wanted), "requests_repeated": repeated}
        figures = report(verdict, breaker, {**more, "seconds_until_settled": round(waited, 1)})
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    sys.exit(1 if verdict.wrong else 0)


if __name__ == "__main__":
    main()
