"""What many linked salons cost in one pool, and how soon they are linked again when everything has died.

    .venv/bin/python -m bench.sessions 50 200
    .venv/bin/python -m bench.sessions 500 --restart --idle 30
    .venv/bin/python -m bench.sessions --codes 1 50
    .venv/bin/python -m bench.sessions --killed-at-code 4

Real processes: PostgreSQL, Redis, one session pool with its engine hosts and the local WhatsApp server, whose
own memory is not counted. One salon is linked by a code; the others are its clones, which exist in the vault
alone, so the first figure is that of a machine that takes all of them over (`tests/cloned_sessions.py`).

`--codes` measures how long a salon owner waits for the first QR code when so many ask at the same moment;
nobody scans. `--killed-at-code 4` kills the pool that shows a code, with another one on its machine and on
another machine in turn, and measures how long the owner waits for the next one.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from bench.processes import cpu_percent, cpu_seconds, family, proportional_kb, status
from tests.cloned_sessions import clone_salons
from tests.deployments import production_deployment
from tests.pool_processes import NEW_SESSIONS, Pools
from tests.server import temporary_folder
from tests.servers import start_postgres, start_redis

POOL = "pool-1"
PATIENCE = 1200.0  # seconds
FIRST_CODE = 60.0  # seconds that WhatsApp shows the first QR code


@contextmanager
def prepared(**settings: str) -> Iterator[Pools]:
    """The product on servers of its own; nothing of it runs yet."""
    with ExitStack() as closing:
        postgres = closing.enter_context(start_postgres(durable=True))
        redis = closing.enter_context(start_redis())
        system = production_deployment(
            folder=temporary_folder("bench-sessions"),
            database_url=postgres.create_database("bench"),
            redis_url=redis.url,
            forked=False,
            LOG_LEVEL="WARNING",
            **settings,
        )
        pools = closing.enter_context(Pools(system))
        closing.callback(system.close)
        system.manage("migrate", seconds=300.0)
        pools.add(POOL)
        yield pools


def measure(count: int, *, shard: int, idle: float, restart: bool) -> dict[str, float]:
    """Figures for so many linked salons."""
    with prepared(POOL_CAPACITY=str(count), POOL_SHARD_SIZE=str(shard)) as pools:
        clone_salons(pools, count, pool=POOL)
        figures: dict[str, float] = {"sessions": count, "shard_size": shard}
        started, sandbox = time.monotonic(), pools.system.processes["sandbox-whatsapp"].pid
        sandbox_before = cpu_seconds([sandbox])
        pools.system.start(POOL)
        pools.wait_linked(pools.phones, seconds=PATIENCE)
        figures["all_linked_from_the_vault_seconds"] = time.monotonic() - started
        pool, *hosts = family(pools.system.processes[POOL].pid)
        figures |= {
            "of_it_cpu_seconds_of_the_pool": cpu_seconds([pool]),
            "of_it_cpu_seconds_of_the_hosts": cpu_seconds(hosts),
            "of_it_cpu_seconds_of_the_whatsapp_server": cpu_seconds([sandbox]) - sandbox_before,
        }
        figures |= cost(pools, count, idle)
        if restart:
            figures |= killed_and_started(pools, count)
        figures["most_connections_of_one_device_at_once"] = pools.most_at_once()
        return figures


def cost(pools: Pools, count: int, idle: float) -> dict[str, float]:
    """Memory, threads and processor time of the pool with its hosts at rest."""
    time.sleep(5)  # for what follows a connection: a copy of the keys, the first heartbeat
    pids = family(pools.system.processes[POOL].pid)
    before, started = cpu_seconds(pids[:1]), time.monotonic()
    percent = cpu_percent(pids, idle)
    of_pool = 100 * (cpu_seconds(pids[:1]) - before) / (time.monotonic() - started)
    rss = sum(status(pid, "VmRSS") for pid in pids) / 1024
    pss = proportional_kb(pids) / 1024
    return {
        "processes": len(pids),
        "rss_mb": rss,
        "pss_mb": pss,
        "sessions_per_resident_gb": count / (rss / 1024),
        "sessions_per_proportional_gb": count / (pss / 1024),
        "threads": sum(status(pid, "Threads") for pid in pids),
        "idle_cpu_percent_of_one_core": percent,
        "of_it_percent_of_the_pool": of_pool,
    }


def killed_and_started(pools: Pools, count: int) -> dict[str, float]:
    """Seconds from the start after a `kill -9` until every salon is linked again, and how fast they came."""
    tokens = pools.tokens()
    pools.system.kill(POOL)
    pools.until(lambda: not pools.up(), "everybody is off line")
    before = sum(pools.state()["logins_by_second"].values())
    started = time.monotonic()
    pools.system.start(POOL)
    pools.until(lambda: len(pools.held_by(POOL)) == count, "linked again", seconds=PATIENCE)
    seconds = time.monotonic() - started
    pools.wait_linked(pools.phones, seconds=PATIENCE)
    by_second = [int(n) for n in pools.state()["logins_by_second"].values()]
    newest: list[int] = []
    while sum(by_second) > before:
        newest.append(by_second.pop())
    return {
        "dead_to_all_linked_seconds": seconds,
        "logins": sum(newest),
        "logins_in_a_second_p50": statistics.median(newest),
        "logins_in_a_second_max": max(newest),
        "leases_taken_anew": sum(pools.tokens()[session] > tokens[session] for session in pools.phones),
        "asked_for_a_code_again": len(pools.system.query("SELECT 1 FROM whatsapp_session WHERE qr <> ''")),
    }


def measure_codes(count: int, delay: float) -> dict[str, float]:
    """Seconds until the first QR code is in the row, when so many pages open at once."""
    with prepared(POOL_CAPACITY=str(count + 10)) as pools:
        pools.system.start(POOL)
        pools.system.whatsapp.fault("slow", seconds=delay)
        time.sleep(5)  # as in a pool that has run for a while: its spare host is ready
        sandbox = pools.system.processes["sandbox-whatsapp"].pid
        before = cpu_seconds([sandbox])
        pools.system.shell(NEW_SESSIONS.format(count=count))
        rows = pools.system.query("SELECT id, pairing_requested_at FROM whatsapp_session")
        asked = dict(rows)
        shown: dict[object, float] = {}
        while len(shown) < count:
            codes = pools.system.query("SELECT id, qr_expires_at FROM whatsapp_session WHERE qr <> ''")
            for session, ends in codes:  # written when it came, however late this looks
                came_at = ends - timedelta(seconds=FIRST_CODE)
                shown.setdefault(session, (came_at - asked[session]).total_seconds())
            time.sleep(0.05)
        waits = sorted(shown.values())
        pool, *hosts = family(pools.system.processes[POOL].pid)
        p99 = waits[min(count - 1, round(0.99 * count))]
        return {
            "asked_at_once": count,
            "whatsapp_answers_after": delay,
            "first_qr_p50": statistics.median(waits),
            "first_qr_p99": p99,
            "first_qr_max": waits[-1],
            "cpu_seconds_of_the_pool": cpu_seconds([pool]),
            "cpu_seconds_of_the_hosts": cpu_seconds(hosts),
            "cpu_seconds_of_the_whatsapp_server": cpu_seconds([sandbox]) - before,
        }


def measure_killed_at_code(*, same_machine: bool) -> dict[str, float]:
    """Seconds until the row has another pool's QR code when the pool that showed one is killed."""
    with prepared(POOL_CAPACITY="10") as pools:
        pools.add("pool-2", machine=POOL if same_machine else "")
        pools.system.start(POOL)
        (session,) = pools.system.shell(NEW_SESSIONS.format(count=1)).split()
        pools.until(lambda: session in pools.leased_by(POOL, condition="qr <> ''"), "a code is shown")
        pools.system.start("pool-2")
        time.sleep(5)  # as in a pool that has run for a while
        ((shown,),) = pools.system.query("SELECT qr FROM whatsapp_session")
        pools.system.kill(POOL)
        started = time.monotonic()
        pools.until(
            lambda: pools.system.query("SELECT qr FROM whatsapp_session")[0][0] not in ("", shown), "a code"
        )
        where = "same_machine" if same_machine else "another_machine"
        return {f"killed_at_a_code_to_new_code_on_{where}_seconds": time.monotonic() - started}


def show(figures: dict[str, float]) -> None:
    """One JSON object."""
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}, indent=2), flush=True)


def main() -> None:
    """Print the figures of each size as it is done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("counts", type=int, nargs="*", help="linked salons")
    parser.add_argument("--shard", type=int, default=50, help="sessions in one engine host")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds over which idle CPU is measured")
    parser.add_argument("--restart", action="store_true", help="also kill everything and start it again")
    parser.add_argument("--codes", type=int, nargs="*", default=[], help="owners who ask at once")
    parser.add_argument(
        "--killed-at-code", type=int, default=0, help="times that a pool dies while it shows a code"
    )
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that WhatsApp takes to answer")
    options = parser.parse_args()
    for count in options.counts:
        show(measure(count, shard=options.shard, idle=options.idle, restart=options.restart))
    for count in options.codes:
        show(measure_codes(count, options.delay))
    for number in range(options.killed_at_code):
        show(measure_killed_at_code(same_machine=number % 2 == 0))


if __name__ == "__main__":
    main()
