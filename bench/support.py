"""Support staff's pages and the daily forgetting on a database with very many messages.

    .venv/bin/python -m bench.support [--messages 1000000] [--plans]

Starts a PostgreSQL of its own, fills it, and prints the time of each page (median of three) with its slowest
statement, of one scrape of /metrics, of an export and of a whole prune. With --plans it also prints the plans
of the slowest statements.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.environment import clean_environment, unit_environment
from tests.server import temporary_folder
from tests.servers import start_postgres

SESSIONS = 200
FILL = """
INSERT INTO whatsapp_message (session_id, direction, source, external_id, category, phone, lid, text, note,
    status, priority, not_before, attempts, failures, unknowns, error_code, error, wa_message_id,
    callback_url, callback_state, reported, callback_next_at, callback_attempts, callback_error, created_at,
    sending_at, sent_at)
SELECT sessions.ids[1 + n %% %(sessions)s], kinds.direction, kinds.source, '1:' || n, 'service',
    '79' || lpad(((n::bigint * 7919) %% 1000000000)::text, 9, '0'), '', 'Ждём вас завтра в 12:00, ' || n, '',
    kinds.status, 0, kinds.at, 1, 0, 0, '', '', 'W' || n, '', kinds.callback, 7, NULL, 0, '', kinds.at,
    kinds.at, kinds.at
FROM generate_series(1, %(messages)s) AS n,
    (SELECT array_agg(id) AS ids FROM whatsapp_session) AS sessions,
    LATERAL (SELECT
        CASE WHEN n %% 10 = 0 THEN 'in' ELSE 'out' END AS direction,
        CASE WHEN n %% 10 = 0 THEN 'inbound' WHEN n %% 5000 = 1 THEN 'support' ELSE 'operator' END AS source,
        CASE WHEN n %% 10 = 0 THEN 'received' WHEN n %% 997 = 1 THEN 'failed'
            WHEN n %% 5003 = 1 THEN 'unknown' WHEN n %% 3 = 0 THEN 'delivered' ELSE 'read' END AS status,
        CASE WHEN n %% 20011 = 1 THEN 'dead' ELSE 'done' END AS callback,
        now() - make_interval(secs => (%(messages)s - n) * 180.0 * 86400 / %(messages)s) AS at) AS kinds
"""
PAGES = {
    "the list": "",
    "its fifth page": "?p=5",
    "status: read": "?status__exact=read",
    "status: failed": "?status__exact=failed",
    "status: being sent (none)": "?status__exact=sending",
    "status: waiting (none)": "?status__exact=queued",
    "source: support": "?source__exact=support",
    "source: reminder (none)": "?source__exact=reminder",
    "category: advertising (none)": "?category__exact=adds",
    "reports given up": "?callback_state__exact=dead",
    "of the last month": "?created_at__gte={month}",
    "of a month long ago": "?created_at__gte={old}&created_at__lt={newer}",
    "a whole phone": "?q=79000007919",
    "the end of a phone": "?q=7919",
    "six digits of a phone": "?q=007919",
    "a salon's number": "?q=307626",
    "a salon's name": "?q=Салон 17",
    "a salon's name that many have": "?q=Салон",
    "one session": "?session__id__exact={session}",
    "one session, failed": "?session__id__exact={session}&status__exact=failed",
    "a number": "?q=%23500000",
}


def fill(messages: int) -> None:
    """Salons and sessions, and messages evenly over half a year."""
    from django.db import connection

    from marketplace.models import Company
    from whatsapp.models import Session

    for number in range(SESSIONS):
        session = Session.objects.create(
            jid=f"{number}:1@s.whatsapp.net", wanted="linked", status="connected"
        )
        Company.objects.create(salon_id=307600 + number, title=f"Салон {number}", session=session)
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"messages": messages, "sessions": SESSIONS})
        cursor.execute("VACUUM ANALYZE whatsapp_message")


def timed(act: Callable[[], Any]) -> tuple[float, list[tuple[float, str]]]:
    """The median of three runs in ms, and the statements of the last one, slowest first."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    took, statements = [], []
    for _ in range(3):
        with CaptureQueriesContext(connection) as queries:
            started = time.perf_counter()
            act()
            took.append((time.perf_counter() - started) * 1000)
        statements = [(float(query["time"]) * 1000, str(query["sql"])) for query in queries]
    return statistics.median(took), sorted(statements, reverse=True)


def addresses() -> dict[str, str]:
    """The pages' addresses with what they ask for filled in."""
    from datetime import timedelta
    from urllib.parse import quote

    from django.utils import timezone

    from whatsapp.models import Session

    now = timezone.now()
    days = {"month": 30, "old": 170, "newer": 140}
    filled = {name: quote(f"{now - timedelta(days=ago):%Y-%m-%d %H:%M:%SZ}") for name, ago in days.items()}
    session = Session.objects.values_list("pk", flat=True)[0]
    return {name: query.format(session=session, **filled) for name, query in PAGES.items()}


def report(name: str, act: Callable[[], Any], *, plans: bool) -> None:
    """Print one line, and the plan of the slowest statement on demand."""
    from django.db import connection

    took, statements = timed(act)
    slowest = statements[0] if statements else (0.0, "")
    print(
        f"{name:<34} {took:8.0f} ms, {len(statements):2} statements, slowest {slowest[0]:6.0f} ms", flush=True
    )
    if plans and slowest[1].startswith("SELECT"):
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS OFF) " + slowest[1].replace("%", "%%"))
            print("\n".join(f"    {row[0]}" for row in cursor.fetchall()))


async def export(pages: int) -> int:
    """The bytes of an export's first pages of 1,000 messages."""
    from whatsapp.admin.message_export import stream
    from whatsapp.models import Message

    size = 0
    async for part in stream(Message.objects.all(), salons=lambda _message: "", language="ru"):
        size += len(part)
        pages -= 1
        if pages < 0:
            break
    return size


def measure(*, plans: bool) -> None:
    """Every page, a scrape, an export, and at last the forgetting, which changes the rows."""
    from django.contrib.auth.models import User
    from django.test import Client

    from config.shared.metrics import render
    from marketplace.worker import retention
    from whatsapp.models import Message

    client = Client()
    client.force_login(User.objects.create_user("root", is_staff=True, is_superuser=True))

    def page(query: str) -> None:
        response = client.get(f"/admin/whatsapp/message/{query}")
        assert response.status_code == 200, response.status_code

    for name, query in addresses().items():
        report(name, lambda query=query: page(query), plans=plans)  # type: ignore[misc]
    one = Message.objects.values_list("pk", flat=True)[1000]
    report("one message", lambda: page(f"{one}/change/"), plans=False)
    report("a scrape of /metrics", render, plans=False)
    started = time.perf_counter()
    size = asyncio.run(export(20))
    took = time.perf_counter() - started
    print(f"{'20,000 messages of an export':<34} {took * 1000:8.0f} ms, {size / 2**20:.1f} MiB")
    started = time.perf_counter()
    results = retention.prune()
    took = time.perf_counter() - started
    print(f"{'prune':<34} {took * 1000:8.0f} ms, {json.dumps({one.kind: one.rows for one in results})}")
    started = time.perf_counter()
    retention.prune()
    print(f"{'prune again, nothing to do':<34} {(time.perf_counter() - started) * 1000:8.0f} ms")


@contextmanager
def database(name: str) -> Iterator[None]:
    """An empty, durable PostgreSQL of its own with Django set up on it, once in a process."""
    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres(durable=True))
        url = postgres.create_database(name)
        own = unit_environment(database_url=url, redis_url="", data_dir=temporary_folder(f"bench-{name}"))
        kept = clean_environment()
        os.environ.clear()
        os.environ.update(kept | own | {"DJANGO_SETTINGS_MODULE": "config.settings"})
        os.environ["LOG_LEVEL"] = "ERROR"
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command
        from django.db import connections

        settings.STAFF_TOTP_REQUIRED = False
        call_command("migrate", verbosity=0)
        yield
        connections.close_all()


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--plans", action="store_true")
    options = parser.parse_args()
    with database("support"):
        started = time.perf_counter()
        fill(options.messages)
        print(f"{options.messages} messages in {time.perf_counter() - started:.0f} s", flush=True)
        measure(plans=options.plans)


if __name__ == "__main__":
    main()
