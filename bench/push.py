"""From a pool's row write to the page's frame, beside the push of the Node service that is replaced.

    .venv/bin/python -m bench.push --baseline FOLDER [--clients 100] [--messages 1500] [--gap 2] [--rounds 2]

FOLDER holds that service (`server.js`, `push_bench.js`, `schema.sql`) after `npm install`. Its process gets
the message through Redis and passes it on; ours gets a sealed hint by the commit of the row and sends what it
says. This process writes QR codes with the pool's own function under leases of its own, and the pages are a
process of their own (`bench.push_pages`); on the other side one Node process is both. The Node service writes
no row for a code. Prints one JSON object: medians of the rounds in ms, our time before and after the commit,
and the ratios of the whole and of what comes after the commit. A frame with a later code counts for the codes
before it, which a page never needs.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.ingest import start_baseline
from tests.deployments import production_deployment
from tests.server import temporary_folder
from tests.servers import start_postgres, start_redis

QR = "https://wa.me/settings/linked_devices#2@ref{number}," + "b" * 200 + ",1"
LAST_SHOWN = 3.0  # seconds; a page whose hint was lost reads its row meanwhile
LONGEST_LINE = 64 * 1024 * 1024  # bytes


@dataclass
class Page:
    """One open page, and when each of its codes was written, committed and shown."""

    session_id: uuid.UUID
    token: str
    lease: Any
    written: list[float] = field(default_factory=list)
    committed: dict[int, float] = field(default_factory=dict)
    shown: dict[int, float] = field(default_factory=dict)

    def note(self, shown: list[tuple[int, float]]) -> None:
        """Take over when codes were shown; a later code counts for those before it, too."""
        for newest, came in shown:
            for number in range(len(self.shown), newest + 1):
                self.shown[number] = came

    async def write(self) -> None:
        """Write the next code as a pool does."""
        from django.utils import timezone

        from whatsapp.sessions import code_writes

        number = len(self.written)
        self.written.append(time.perf_counter())
        expires = timezone.now() + timedelta(seconds=60)
        code = QR.format(number=number)
        await code_writes.write_qr(self.lease, status="qr", qr=code, qr_expires_at=expires)
        self.committed[number] = time.perf_counter()


def make_pages(count: int, *, first_salon: int) -> list[Page]:
    """Salons that wait for a phone, each with a page's token and a lease of this process."""
    from marketplace.models import Company
    from onboarding.linking import tokens
    from whatsapp.sessions import leases, services

    pages = []
    for number in range(count):
        session = services.create_session()
        company = Company.objects.create(
            salon_id=first_salon + number, title=f"Салон {number}", session=session
        )
        services.view(session=session)
        token = tokens.issue(company=company, companies=[company])
        pages.append(Page(session.pk, token, None))
    claimed = leases.claim(owner="bench:1:push", limit=count, seconds=3600)
    by_session = {lease.session_id: lease for lease in claimed}
    for page in pages:
        page.lease = by_session[page.session_id]
    return pages


def settle_disk() -> None:
    """Let what the setup has written be on the disk, where the first commits would wait for it.

    PostgreSQL keeps the log files that it needs no more, instead of making new ones under way.
    """
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    os.sync()


async def measure(url: str, pages: list[Page], *, messages: int, gap: float) -> dict[str, float]:
    """Write so many codes, one page after the other; latencies in ms."""
    from whatsapp.sessions import code_writes

    browsers = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.push_pages"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
    )
    assert browsers.stdin is not None
    assert browsers.stdout is not None
    wanted = {"url": url, "tokens": [page.token for page in pages]}
    browsers.stdin.write(f"{json.dumps(wanted)}\n".encode())
    code_writes.connect()  # as a pool does at its start
    assert await browsers.stdout.readline() == b"open\n"
    await asyncio.sleep(1)
    writes = []
    for number in range(messages):
        writes.append(asyncio.create_task(pages[number % len(pages)].write()))
        await asyncio.sleep(gap)
    await asyncio.gather(*writes)
    await asyncio.sleep(LAST_SHOWN)
    browsers.stdin.close()
    for page, shown in zip(pages, json.loads(await browsers.stdout.readline()), strict=True):
        page.note(shown)
    await browsers.wait()
    return figures(pages)


def figures(pages: list[Page]) -> dict[str, float]:
    """Medians and 99th percentiles of all codes."""
    total, write, push = [], [], []
    for page in pages:
        push += [(at - page.committed[number]) * 1000 for number, at in page.shown.items()]
        total += [(at - page.written[number]) * 1000 for number, at in page.shown.items()]
        write += [(at - page.written[number]) * 1000 for number, at in page.committed.items()]
    return {
        "written": sum(len(page.written) for page in pages),
        "received": len(total),
        "p50": percentile(total, 0.5),
        "p99": percentile(total, 0.99),
        "until_committed_p50": percentile(write, 0.5),
        "until_committed_p99": percentile(write, 0.99),
        "after_commit_p50": percentile(push, 0.5),
        "after_commit_p99": percentile(push, 0.99),
    }


def percentile(values: list[float], part: float) -> float:
    """The value below which this part of them lies."""
    return round(sorted(values)[min(len(values) - 1, int(len(values) * part))], 2)


def measure_baseline(folder: Path, redis_url: str, options: argparse.Namespace) -> dict[str, float]:
    """The Node service's own bench; it must listen at 127.0.0.1:3900."""
    arguments = [str(number) for number in (options.clients, options.messages, options.gap)]
    printed = subprocess.run(
        ["node", str(folder / "push_bench.js"), *arguments],
        env={**os.environ, "REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {name: float(value) for name, value in json.loads(printed).items()}


def load_django(environment: dict[str, str]) -> None:
    """Load the product into this process, with the settings of its own processes."""
    import django

    from config.shared import collector

    os.environ.update(environment, DJANGO_SETTINGS_MODULE="config.settings", LOG_LEVEL="ERROR")
    django.setup()
    collector.ignore_loaded()  # as a pool


def main() -> None:
    """Print one JSON object: both sides' medians and the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--messages", type=int, default=1500)
    parser.add_argument("--gap", type=int, default=2, help="ms between two messages")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres(durable=True))
        redis = stack.enter_context(start_redis())
        system = production_deployment(
            folder=temporary_folder("bench-push"),
            database_url=postgres.create_database("ours"),
            redis_url=redis.url,
            WS_CONNECTS_PER_MINUTE="100000",
            LOG_LEVEL="WARNING",
        )
        stack.callback(system.close)
        system.manage("migrate", seconds=300.0)
        system.start("web")
        load_django(system.environment)
        if options.baseline:
            start_baseline(system, options.baseline, postgres.create_database("theirs"), redis.url, port=3900)
        for number in range(options.rounds):
            if options.baseline:
                rounds["theirs"].append(measure_baseline(options.baseline, redis.url, options))
            pages = make_pages(options.clients, first_salon=1000 * (number + 1))
            settle_disk()
            gap = options.gap / 1000
            rounds["ours"].append(asyncio.run(measure(system.url, pages, messages=options.messages, gap=gap)))
    print(json.dumps(summary(rounds), indent=2))


def summary(rounds: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians of the rounds, and the ratio of the 99th percentiles when there is a peer."""
    sides: dict[str, Any] = {
        side: {name: statistics.median(one[name] for one in measured) for name in measured[0]}
        for side, measured in rounds.items()
        if measured
    }
    if "theirs" in sides:
        theirs = sides["theirs"]["p99"]
        sides["ours_to_theirs_p99"] = round(sides["ours"]["p99"] / theirs, 2)
        sides["after_commit_to_theirs_p99"] = round(sides["ours"]["after_commit_p99"] / theirs, 2)
    return sides


if __name__ == "__main__":
    main()
