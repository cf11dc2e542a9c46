"""How many messages one pool brings through by itself: claimed, handed over, acknowledged and delivered.

    .venv/bin/python -m bench.pool_messages
    .venv/bin/python -m bench.pool_messages --messages 3000 --sessions 20

A durable PostgreSQL, Redis and one pool in this process, with pacing off. The simulated engine answers at
once, so what is measured is the pool and its database; `bench.chain` has the library and WhatsApp in it.
"""

import argparse
import asyncio
import os
import statistics
import time
from dataclasses import dataclass

from bench.processes import cpu_seconds, family
from tests import environment
from tests.server import temporary_folder
from tests.servers import start_postgres, start_redis

CLIENTS = 200
PATIENCE = 600.0  # seconds


@dataclass
class Spent:
    """Processor seconds of this process and of PostgreSQL."""

    pool: float
    postgres: float


def prepare(database_url: str, redis_url: str) -> None:
    """Load Django for these servers, and make the tables."""
    folder = temporary_folder("bench-pool-messages")
    os.environ.update(
        environment.unit_environment(database_url=database_url, redis_url=redis_url, data_dir=folder),
        DJANGO_SETTINGS_MODULE="config.settings",
        SENDING_PACED="false",
        LOG_LEVEL="WARNING",
    )
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


async def measure(sessions: int, messages: int, singles: int, postgres: int) -> None:
    """Link, send one after the other, send all at once, print."""
    from config.shared.database import in_thread
    from tests.whatsapp.outgoing import new
    from tests.whatsapp.pools import linked_session, running_pool
    from whatsapp.engine.events import NumberResult
    from whatsapp.messages import message_queue, numbers
    from whatsapp.models import Message, Session

    def spent() -> Spent:
        return Spent(time.process_time(), cpu_seconds(family(postgres)))

    def waiting() -> bool:
        return Message.objects.exclude(status="delivered").exists()

    async with running_pool(pace=1.0, poll=1.0) as running:
        running.engine.script.auto_deliver = True
        linked = [await linked_session(running, f"7900{number:07d}") for number in range(sessions)]
        phones = [f"7999{number:07d}" for number in range(CLIENTS)]
        known = [
            NumberResult(phone=phone, jid=f"{phone}@s.whatsapp.net", lid=None, on_whatsapp=True)
            for phone in phones
        ]
        await in_thread(numbers.record, known)

        async def queue(session: Session, count: int) -> None:
            batch = [new(phone=phones[number % CLIENTS]) for number in range(count)]
            await in_thread(message_queue.queue_messages, session=session, messages=batch)

        async def until_delivered() -> None:
            async with asyncio.timeout(PATIENCE):
                while await in_thread(waiting):  # noqa: ASYNC110  the database sets no event
                    await asyncio.sleep(0.05)

        for number in range(singles):
            await queue(linked[number % sessions], 1)
            await until_delivered()
        rows = await in_thread(lambda: list(Message.objects.values_list("created_at", "sending_at")))
        handed = sorted(1000 * (sending - created).total_seconds() for created, sending in rows if sending)
        show("queued to handed over at idle, p50 ms", statistics.median(handed))
        show("queued to handed over at idle, p99 ms", statistics.quantiles(handed, n=100)[98])
        before, began = spent(), time.monotonic()
        for session in linked:
            await queue(session, messages // sessions)
        await until_delivered()
        seconds, after = time.monotonic() - began, spent()
        show("messages a second", messages / seconds)
        show("processor ms a message, pool", 1000 * (after.pool - before.pool) / messages)
        show("processor ms a message, postgres", 1000 * (after.postgres - before.postgres) / messages)


def show(name: str, value: float) -> None:
    """Print a line of the table."""
    print(f"{name:42}{value:10.1f}", flush=True)


def main() -> None:
    """Start the servers and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--singles", type=int, default=60, help="messages at idle")
    options = parser.parse_args()
    with start_postgres(durable=True) as postgres, start_redis() as redis:
        prepare(postgres.create_database("bench"), redis.url)
        asyncio.run(measure(options.sessions, options.messages, options.singles, postgres.pid))


if __name__ == "__main__":
    main()
