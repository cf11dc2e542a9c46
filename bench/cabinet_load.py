"""How long a salon's cabinet takes to appear and to be usable in a browser that has never seen it.

    .venv/bin/python -m bench.cabinet_load [--messages 100000] [--days 30] [--runs 5] [--plans]

Starts a PostgreSQL and a web process of its own, fills them with one salon that has so many messages of
the last days and with as many of other salons, and opens each screen in Chromium with an empty cache:
without a limit, and through the lines that Chrome's developer tools call "Fast 4G" and "Slow 4G" (once
"Fast 3G"). Prints, in ms, the medians of the first answer's last byte, of the first contentful paint, and of
DOMContentLoaded, when forms and scripts work; and the bytes that were transferred. Before that, the processor
time of one answer, which does not grow with what else the machine does. With --plans it also prints the plans
of the home's statements.
"""

import argparse
import os
import statistics
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import requests
from playwright.sync_api import Browser, sync_playwright

from bench.processes import cpu_seconds, family
from tests.browser import ARGUMENTS, find_browser
from tests.environment import clean_environment, unit_environment
from tests.processes import BINARIES, Stack, answers
from tests.server import free_port, temporary_folder
from tests.servers import start_postgres, start_redis

SALON, OTHERS = 307600, 50
SCREENS = {"home": "", "messages": "messages", "texts": "texts", "replies": "replies", "settings": "settings"}
KBIT = 1000 / 8  # bytes a second
# Bytes a second down and up, and the latency of each request in ms, as Chrome's developer tools set them.
CONNECTIONS: dict[str, tuple[float, float, float]] = {
    "no limit": (-1, -1, 0),
    "Fast 4G": (8100 * KBIT, 1350 * KBIT, 165),
    "Slow 4G": (1440 * KBIT, 675 * KBIT, 562.5),
}
PHONE = {"width": 375, "height": 740}
# When the first answer was complete, painted first, and usable.
TIMES = """() => {
  const page = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const all = [page, ...performance.getEntriesByType("resource")];
  return [page.responseEnd, paint ? paint.startTime : 0, page.domContentLoadedEventEnd,
          all.reduce((sum, each) => sum + each.transferSize, 0)];
}"""
FILL = """
INSERT INTO whatsapp_message (session_id, direction, source, external_id, category, phone, lid, text, note,
    status, priority, not_before, attempts, failures, unknowns, error_code, error, wa_message_id,
    callback_url, callback_state, reported, callback_next_at, callback_attempts, callback_error, created_at,
    sending_at, sent_at)
SELECT kinds.session, kinds.direction, kinds.source, '1:' || n, 'service',
    '79' || lpad((n %% 20000)::text, 9, '0'), '', 'Ждём вас завтра в 12:00, ' || n, '', kinds.status, 0,
    kinds.at, 1, 0, 0, '', '', 'W' || n, '', 'done', 7, NULL, 0, '', kinds.at, kinds.at, kinds.at
FROM generate_series(1, 2 * %(messages)s) AS n,
    (SELECT array_agg(id ORDER BY id) AS ids FROM whatsapp_session WHERE id <> %(salon)s) AS others,
    LATERAL (SELECT
        CASE WHEN n %% 2 = 0 THEN %(salon)s ELSE others.ids[1 + n / 2 %% %(others)s] END AS session,
        CASE WHEN n %% 20 < 2 THEN 'in' ELSE 'out' END AS direction,
        CASE WHEN n %% 20 < 2 THEN 'inbound' ELSE 'operator' END AS source,
        CASE WHEN n %% 20 < 2 THEN 'received' WHEN n %% 997 = 1 THEN 'failed'
            WHEN n %% 3 = 0 THEN 'delivered' ELSE 'read' END AS status,
        now() - make_interval(secs => (2 * %(messages)s - n) * %(seconds)s / %(messages)s) AS at) AS kinds
"""
CONVERSATIONS = """
INSERT INTO whatsapp_conversation (session_id, phone, lid, last_message_id, last_received, last_at, unread)
SELECT session_id, phone, '', max(id), max(id), max(created_at), 1 FROM whatsapp_message
WHERE direction = 'in' GROUP BY session_id, phone
"""


def fill(messages: int, days: int) -> str:
    """One salon with so many messages of these days, others with as many; the key of its owner's session."""
    from django.db import connection
    from django.test import RequestFactory

    from marketplace.salons import ownership
    from onboarding.cabinet import sessions
    from tests.onboarding.cabinet.owners import owned_salon

    for number in range(OTHERS + 1):
        company = owned_salon(
            SALON + number, owner=str(number), phone=f"7999000{number:04}", title=f"Салон {number}"
        )
    assert company.session is not None
    with connection.cursor() as cursor:
        cursor.execute(
            FILL,
            {"messages": messages, "salon": company.session.pk, "others": OTHERS, "seconds": days * 43200.0},
        )
        cursor.execute(CONVERSATIONS)
        cursor.execute("VACUUM ANALYZE")
    store = sessions.start(
        RequestFactory().get("/"),
        holder=ownership.digest_of(ownership.owner_of(company)),
        salon_ids=[company.salon_id],
    )
    return str(store.session_key)


def show_plans() -> None:
    """How PostgreSQL finds what the home shows."""
    from zoneinfo import ZoneInfo

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from marketplace.models import Company
    from onboarding.cabinet import statistics as shown

    company = Company.objects.select_related("session").get(salon_id=SALON + OTHERS)
    assert company.session is not None
    with CaptureQueriesContext(connection) as queries:
        shown.read_days(company.session, ZoneInfo("Asia/Yekaterinburg"))
        shown.read_waiting(company.session)
    with connection.cursor() as cursor:
        for query in queries:
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS OFF) " + str(query["sql"]).replace("%", "%%"))
            print("\n".join(str(row[0]) for row in cursor.fetchall()), end="\n\n", flush=True)


@contextmanager
def web(environment: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """A web process as production runs it; its address and its process id."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    stack = Stack(
        folder=temporary_folder("bench-cabinet-web"),
        environment={**clean_environment(), **environment, "BASE_URL": url},
    )
    daphne = [str(BINARIES / "daphne"), "config.asgi:application", "-b", "127.0.0.1", "-p", str(port)]
    stack.add("web", daphne, ready=lambda _: answers(f"{url}/healthz"))
    try:
        stack.start("web")
        yield url, stack.processes["web"].pid
    finally:
        stack.close()


def processor_time(url: str, key: str, processes: Mapping[str, int]) -> None:
    """What each screen's answer costs each of the processes, children included."""
    home, visits = f"{url}/cabinet/{SALON + OTHERS}/", 20
    with requests.Session() as http:
        http.cookies.set("cabinet", key)
        for name, path in SCREENS.items():
            http.get(home + path, timeout=60).raise_for_status()
            before = {each: cpu_seconds(family(pid)) for each, pid in processes.items()}
            for _visit in range(visits):
                http.get(home + path, timeout=60)
            spent = [
                f"{1000 * (cpu_seconds(family(pid)) - before[each]) / visits:.0f} ms of {each}"
                for each, pid in processes.items()
            ]
            print(f"{name:<28}{', '.join(spent)}", flush=True)


def load(made: Browser, address: str, cookie: Mapping[str, Any], line: tuple[float, float, float]) -> Any:
    """One visit with an empty cache: the figures of TIMES."""
    context = made.new_context(viewport=PHONE, locale="ru-RU", is_mobile=True)  # type: ignore[arg-type]
    context.add_cookies([cookie])  # type: ignore[list-item]
    page = context.new_page()
    down, up, latency = line
    limits = {
        "offline": False, "downloadThroughput": down, "uploadThroughput": up, "latency": latency,
    }  # fmt: skip
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", limits)
    page.goto(address, wait_until="load")
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
    figures = page.evaluate(TIMES)
    context.close()
    return figures


def measure(url: str, key: str, runs: int) -> None:
    """Every screen by every connection; one visit before, for what a process does once."""
    cookie = {"name": "cabinet", "value": key, "url": url}
    home = f"{url}/cabinet/{SALON + OTHERS}/"
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(find_browser()), args=ARGUMENTS)
        for path in SCREENS.values():
            load(made, home + path, cookie, CONNECTIONS["no limit"])
        print(f"{'screen, connection':<28}{'answer':>8}{'painted':>9}{'usable':>8}{'bytes':>9}", flush=True)
        for name, path in SCREENS.items():
            for connection, limits in CONNECTIONS.items():
                found = [load(made, home + path, cookie, limits) for _run in range(runs)]
                answer, painted, usable, size = (statistics.median(each) for each in zip(*found, strict=True))
                line = f"{f'{name}, {connection}':<28}{answer:>8.0f}{painted:>9.0f}{usable:>8.0f}{size:>9.0f}"
                print(line, flush=True)
        made.close()


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--plans", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres(durable=True))
        redis = stack.enter_context(start_redis())
        own = unit_environment(
            database_url=postgres.create_database("cabinet"),
            redis_url=redis.url,
            data_dir=temporary_folder("bench-cabinet"),
        )
        kept = clean_environment()
        os.environ.clear()
        os.environ.update(kept | own | {"DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "ERROR"})
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", verbosity=0)
        key = fill(options.messages, options.days)
        if options.plans:
            show_plans()
        connections.close_all()
        url, pid = stack.enter_context(web(own))
        processor_time(url, key, {"web": pid, "PostgreSQL": postgres.pid})
        measure(url, key, options.runs)


if __name__ == "__main__":
    main()
