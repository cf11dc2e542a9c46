"""How many notifications the operator's door takes, beside the webhook door in the same run.

    .venv/bin/python -m bench.operator
    .venv/bin/python -m bench.operator --seconds 10 --clients 16

Real processes: a durable PostgreSQL, Redis and one daphne. The clients run in this process and cost about as
much CPU as the door; read the ratios. Every id and every webhook is new, and one round repeats them.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.deployments import Deployment, production_deployment
from tests.payloads import load
from tests.server import temporary_folder
from tests.servers import start_postgres, start_redis

SALON = 307626
NEW_SALON = f"""
from django.utils import timezone
from marketplace.models import Company
from whatsapp.crypto.encryption import lookup_digest
from whatsapp.models import Session
session = Session.objects.create(jid="79990000900:1@s.whatsapp.net", wanted="linked")
Company.objects.create(
    salon_id={SALON}, status="active", session=session, activated_at=timezone.now(),
    api_key="bench-key", api_key_digest=lookup_digest("bench-key"),
    webhook_secret="bench-secret", webhook_secret_digest=lookup_digest("bench-secret"),
)
"""
Body = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Figures:
    """One round: requests and messages a second, and how long an answer took, in milliseconds."""

    name: str
    requests: float
    messages: float
    median: float
    p99: float


def notifications(callback: str, batch: int, *, new: bool = True) -> Body:
    """Bodies with `batch` messages each."""

    def body(number: int) -> bytes:
        first = number * batch if new else 0
        targets = [
            {"id": f"{batch}-{new}-{first + place}", "phone": f"7999{(first + place) % 10_000_000:07d}"}
            for place in range(batch)
        ]
        request = {"destination_params": targets, "text": "Ждём вас завтра в 12:00", "channel": "whatsapp"}
        return json.dumps({**request, "delivery_callback_url": callback}).encode()

    return body


def webhook(number: int) -> bytes:
    """A booking that has changed."""
    body = load("record_update")
    body["company_id"], body["resource_id"] = SALON, number
    return json.dumps(body).encode()


async def round_of(name: str, url: str, body: Body, *, batch: int, seconds: float, clients: int) -> Figures:
    """Post as fast as the answers come, `clients` at a time."""
    numbers, took = itertools.count(), []
    ends = time.monotonic() + seconds
    headers = {"Authorization": "Bearer bench-key", "Content-Type": "application/json"}

    async def client(http: aiohttp.ClientSession) -> None:
        while time.monotonic() < ends:
            data, began = body(next(numbers)), time.monotonic()
            async with http.post(url, data=data, headers=headers) as answer:
                content = await answer.read()
            if answer.status != 200:
                raise SystemExit(f"{name}: {answer.status} {content[:200]!r}")
            took.append(time.monotonic() - began)

    began = time.monotonic()
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        for _number in range(clients):
            group.create_task(client(http))
    rate = len(took) / (time.monotonic() - began)
    worst = statistics.quantiles(took, n=100)[98] if len(took) > 1 else took[0]
    return Figures(name, rate, rate * batch, 1000 * statistics.median(took), 1000 * worst)


async def measure(system: Deployment, *, seconds: float, clients: int) -> list[Figures]:
    """All rounds, one after the other, behind a short one that warms the server up."""
    callback = f"{system.environment['YCLIENTS_API_URL']}/api/v1/sms/delivery/bench"
    door, other = f"{system.url}/yclients/messages/", f"{system.url}/webhook/yclients/bench-secret"
    how: dict[str, Any] = {"seconds": seconds, "clients": clients}
    await round_of("warm-up", door, notifications(callback, 2), batch=2, seconds=1, clients=clients)
    return [
        await round_of("webhook", other, webhook, batch=1, **how),
        await round_of("one message", door, notifications(callback, 1), batch=1, **how),
        await round_of("a repeat", door, notifications(callback, 1, new=False), batch=1, **how),
        await round_of("100 messages", door, notifications(callback, 100), batch=100, **how),
        await round_of("1000 messages", door, notifications(callback, 1000), batch=1000, **how),
    ]


def show(rounds: list[Figures]) -> None:
    """Print a table; the first round is what the others are compared with."""
    print(f"{'':14}{'requests/s':>11}{'messages/s':>11}{'median ms':>11}{'p99 ms':>9}{'ratio':>8}")
    for one in rounds:
        ratio = one.messages / rounds[0].messages
        print(
            f"{one.name:14}{one.requests:11.1f}{one.messages:11.1f}{one.median:11.1f}{one.p99:9.1f}{ratio:8.2f}"
        )
    print("ratio: messages a second, beside webhooks a second")


def main() -> None:
    """Start the servers, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="length of a round")
    parser.add_argument("--clients", type=int, default=8, help="requests at the same time")
    said = parser.parse_args()
    with start_postgres(durable=True) as postgres, start_redis() as redis:
        system = production_deployment(
            folder=temporary_folder("bench-operator"),
            database_url=postgres.create_database("bench"),
            redis_url=redis.url,
            LOG_LEVEL="WARNING",
        )
        try:
            system.manage("migrate")
            system.shell(NEW_SALON)
            system.start("web")
            show(asyncio.run(measure(system, seconds=said.seconds, clients=said.clients)))
        finally:
            system.close()


if __name__ == "__main__":
    main()
