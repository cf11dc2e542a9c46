"""Ten thousand salons and ten million messages: what claims, webhooks and support's lists cost then.

    .venv/bin/python -m bench.growth [--messages 10000000] [--salons 10000] [--plans]

Starts a durable PostgreSQL of its own, fills it with the indexes dropped and made again, and prints the time
of each step (median of three) at a tenth of the rows and at all of them, so that what grows can be seen.
"""

import argparse
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from bench import support
from tests.environment import clean_environment, unit_environment
from tests.server import temporary_folder
from tests.servers import start_postgres

POOL = "bench:1:x"
HELD = 500  # sessions of one pool
WAITING = 200  # messages that are due, over the pool's sessions
BATCH = 64  # webhooks stored by one commit
LISTS = ("the list", "status: failed", "a whole phone", "the end of a phone", "one session")


def fill_salons(salons: int) -> None:
    """Salons with linked sessions, the first HELD of them held by one pool."""
    from datetime import timedelta

    from django.utils import timezone

    from marketplace.models import Company
    from whatsapp.models import Session

    until = timezone.now() + timedelta(days=1)
    sessions = [
        Session(
            jid=f"{number}:1@s.whatsapp.net",
            wanted="linked",
            status="connected",
            lease_owner=POOL if number < HELD else "bench:2:y",
            lease_expires_at=until,
            lease_token=1,
        )
        for number in range(salons)
    ]
    Session.objects.bulk_create(sessions, batch_size=1000)
    Company.objects.bulk_create(
        [
            Company(salon_id=307600 + number, title=f"Салон {number}", session=session)
            for number, session in enumerate(sessions)
        ],
        batch_size=1000,
    )


def fill_messages(messages: int, salons: int) -> float:
    """Replace all messages; seconds that it took, the making of the indexes included."""
    from django.db import connection

    from whatsapp.models import Message

    started = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE whatsapp_message CASCADE")
        cursor.execute("SET maintenance_work_mem = '1GB'")
        with connection.schema_editor() as editor:
            for index in Message._meta.indexes:
                editor.remove_index(Message, index)
        cursor.execute(support.FILL, {"messages": messages, "sessions": salons})
        with connection.schema_editor() as editor:
            for index in Message._meta.indexes:
                editor.add_index(Message, index)
        cursor.execute("VACUUM ANALYZE whatsapp_message")
        cursor.execute("VACUUM ANALYZE whatsapp_session")
    make_some_wait()
    return time.monotonic() - started


def make_some_wait() -> None:
    """Messages that are due now, on the sessions of the pool."""
    from whatsapp.messages.message_queue import NewMessage, queue_messages
    from whatsapp.models import Session

    for number, session in enumerate(Session.objects.filter(lease_owner=POOL)[:WAITING]):
        new = NewMessage(
            phone=f"7900{number:07d}", text="Ждём вас", source="operator", external_id=f"1:w{number}"
        )
        queue_messages(session=session, messages=[new])


def steps() -> dict[str, Callable[[], Any]]:
    """What the product does again and again, by name."""
    from django.test import Client

    from config.shared.metrics import render
    from marketplace.notifications import callback_queue
    from whatsapp.messages import message_queue, outbox
    from whatsapp.sessions import leases

    client = Client()
    client.force_login(_staff())
    asked = support.addresses()
    made: dict[str, Callable[[], Any]] = {
        "a pool reads its 500 sessions": lambda: outbox.read_held(owner=POOL),
        "a pool looks for free sessions": lambda: leases.claim(owner=POOL, limit=20, seconds=30),
        "a pool ends what is too late": message_queue.expire_due,
        "a worker looks for callbacks": callback_queue.claim_batch,
        f"{BATCH} webhooks by one commit": store_webhooks,
        "a scrape of /metrics": render,
    }
    for name in LISTS:
        made[f"admin: {name}"] = partial(client.get, f"/admin/whatsapp/message/{asked[name]}")
    return made


def store_webhooks() -> None:
    """A batch of distinct bookings, as `config.ingest` hands it on."""
    import json
    import uuid

    from config.shared.endpoints import IngestRequest
    from marketplace.webhooks.views import WEBHOOKS

    answers = WEBHOOKS.handle(
        [
            IngestRequest(
                json.dumps(
                    {"company_id": 307600, "resource": "record", "resource_id": number, "status": "update",
                     "data": {"id": number, "comment": uuid.uuid4().hex}}
                ).encode(),
                secret=SECRET,
            )
            for number in range(BATCH)
        ]
    )  # fmt: skip
    assert all(answer.status == 200 for answer in answers), answers[0]


SECRET = "webhook-secret-of-the-bench"


def _staff() -> Any:
    from django.contrib.auth.models import User

    return User.objects.get_or_create(username="root", defaults={"is_staff": True, "is_superuser": True})[0]


def give_address() -> None:
    """The first salon gets a webhook address."""
    from marketplace.models import Company
    from whatsapp.crypto.encryption import lookup_digest

    Company.objects.filter(salon_id=307600).update(
        status="active", api_key="k", api_key_digest=lookup_digest("k"),
        webhook_secret=SECRET, webhook_secret_digest=lookup_digest(SECRET),
    )  # fmt: skip


def measure(*, plans: bool) -> dict[str, float]:
    """Print each step's time; return them in ms."""
    took = {}
    for name, act in steps().items():
        milliseconds, statements = support.timed(act)
        took[name] = milliseconds
        slowest = statements[0] if statements else (0.0, "")
        print(f"{name:<40} {milliseconds:8.1f} ms, {len(statements):2} statements", flush=True)
        if plans and slowest[1].startswith("SELECT"):
            _explain(slowest[1])
    return took


def _explain(statement: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS OFF) " + statement.replace("%", "%%"))
        print("\n".join(f"    {row[0]}" for row in cursor.fetchall()))


def main() -> None:
    """Fill a tenth, measure; fill all, measure; print what grew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--salons", type=int, default=10_000)
    parser.add_argument("--plans", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres(durable=True))
        url = postgres.create_database("growth")
        own = unit_environment(database_url=url, redis_url="", data_dir=temporary_folder("bench-growth"))
        kept = clean_environment()
        os.environ.clear()
        os.environ.update(kept | own | {"DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "ERROR"})
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command
        from django.db import connections

        settings.STAFF_TOTP_REQUIRED = False
        call_command("migrate", verbosity=0)
        fill_salons(options.salons)
        give_address()
        found = []
        for rows in (options.messages // 10, options.messages):
            print(f"--- {rows} messages of {options.salons} salons, filled in "
                  f"{fill_messages(rows, options.salons):.0f} s", flush=True)  # fmt: skip
            found.append(measure(plans=options.plans and rows == options.messages))
        small, large = found
        for name, milliseconds in large.items():
            print(f"{name:<40} {milliseconds / max(small[name], 0.1):8.2f} times at ten times the messages")
        connections.close_all()


if __name__ == "__main__":
    main()
