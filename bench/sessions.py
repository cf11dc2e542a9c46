"""Links many salons at once in one pool, then kills everything and starts it again; prints what it cost.

    .venv/bin/python -m bench.sessions 50
    .venv/bin/python -m bench.sessions 200 --restart --idle 20

Real processes: PostgreSQL, Redis, one session pool with its engine hosts, and the local WhatsApp server,
whose own memory is not counted. Each salon's phone scans its first QR code as soon as it is in the row.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.outside import OutsideError
from tests.scene import Scene, production_scene
from tests.server import temporary_folder
from tests.servers import start_postgres, start_redis

NEW_SESSIONS = """
from whatsapp import services
for number in range({count}):
    services.view(session=services.create_session())
"""
PATIENCE = 900.0  # seconds


@contextmanager
def scene(count: int, capacity: int) -> Iterator[Scene]:
    """The product on servers of its own; only the pool is started."""
    with start_postgres(durable=True) as postgres, start_redis() as redis:
        made = production_scene(
            folder=temporary_folder("bench-sessions"),
            database_url=postgres.create_database("bench"),
            redis_url=redis.url,
            POOL_CAPACITY=str(capacity),
            LOG_LEVEL="WARNING",
        )
        try:
            made.manage("migrate")
            for number in range(count):
                made.whatsapp.add_phone(phone_of(number))
            yield made
        finally:
            made.close()


def phone_of(number: int) -> str:
    return f"7900{number:07d}"


def count_where(made: Scene, condition: str) -> int:
    return int(made.query(f"SELECT count(*) FROM whatsapp_session WHERE {condition}")[0][0])  # noqa: S608


def until(condition: Callable[[], bool], what: str) -> float:
    """Seconds until it is true."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > PATIENCE:
            raise SystemExit(f"after {PATIENCE:.0f} s: not {what}")
        time.sleep(0.05)
    return time.monotonic() - started


def link(made: Scene, count: int) -> dict[str, float]:
    """Ask for `count` codes at once, scan each when it appears; seconds from the request."""
    made.shell(NEW_SESSIONS.format(count=count))
    started = time.monotonic()
    asked = {row[0]: row[1] for row in made.query("SELECT id, pairing_requested_at FROM whatsapp_session")}
    first_qr: dict[object, float] = {}
    decrypt = Decrypter(made)
    with ThreadPoolExecutor(8) as phones:
        while len(first_qr) < count:
            rows = made.query("SELECT id, qr, now() FROM whatsapp_session WHERE qr <> ''")
            for session, qr, now in rows:
                if session not in first_qr:
                    first_qr[session] = (now - asked[session]).total_seconds()
                    phones.submit(scan, made, phone_of(len(first_qr) - 1), decrypt(qr))
            # Somebody looks at each page, as the page itself tells every 10 s.
            made.query("UPDATE whatsapp_session SET viewed_at = now() WHERE jid = '' RETURNING 1")
            time.sleep(0.1)
    until(lambda: count_where(made, "status = 'connected'") == count, "all connected")
    waits = sorted(first_qr.values())
    return {
        "first_qr_p50": statistics.median(waits),
        "first_qr_max": waits[-1],
        "all_connected": time.monotonic() - started,
    }


def scan(made: Scene, phone: str, qr: str) -> None:
    try:
        made.whatsapp.scan(phone, qr)
    except OutsideError as refused:
        sys.stderr.write(f"scan refused: {refused}\n")


class Decrypter:
    """Reads the encrypted column as the product does, without loading it."""

    def __init__(self, made: Scene) -> None:
        from cryptography.fernet import Fernet

        self._key = Fernet(made.environment["FIELD_ENCRYPTION_KEYS"])

    def __call__(self, token: str) -> str:
        return self._key.decrypt(token.encode()).decode()


def processes(root: int) -> list[int]:
    """The pool's process and its hosts."""
    try:
        children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    except FileNotFoundError:  # a pairing host that ended meanwhile
        return []
    return [root, *(child for pid in children for child in processes(int(pid)))]


def status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def cost(made: Scene, count: int, idle: float) -> dict[str, float]:
    """Memory, threads and processor time of the pool with its hosts, after they came to rest."""
    until(lambda: host_count(made) <= count / 50 + 3, "all moved to shards")
    time.sleep(3)
    pids = processes(made.processes["pool"].pid)
    before, started = cpu_seconds(pids), time.monotonic()
    time.sleep(idle)
    used = (cpu_seconds(pids) - before) / (time.monotonic() - started)
    rss = sum(status(pid, "VmRSS") for pid in pids) / 1024
    return {
        "processes": len(pids),
        "rss_mb": rss,
        "rss_mb_per_session": rss / count,
        "sessions_per_gb": count / (rss / 1024),
        "threads": sum(status(pid, "Threads") for pid in pids),
        "idle_cpu_percent_of_one_core": used * 100,
    }


def host_count(made: Scene) -> int:
    return len(processes(made.processes["pool"].pid)) - 1


def cpu_seconds(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def restart(made: Scene, count: int) -> dict[str, float]:
    """Everything killed, everything started: seconds until every session is connected again."""
    made.kill("pool")
    until(lambda: not made.whatsapp.get("/state")["linked"], "everybody off line")
    killed = time.monotonic()
    made.processes["pool"].start()
    mine = f"%%:{made.processes['pool'].pid}:%%"
    until(
        lambda: count_where(made, f"status = 'connected' AND lease_owner LIKE '{mine}'") == count,
        "all connected again",
    )
    seconds = time.monotonic() - killed
    logins = made.whatsapp.get("/state")["logins_by_second"]
    newest = list(logins.values() if isinstance(logins, dict) else logins)[-int(seconds) - 2 :]
    return {
        "restart_all_connected": seconds,
        "most_logins_in_a_second": max(item if isinstance(item, int) else item[1] for item in newest),
        "asked_for_a_new_code": count_where(made, "jid = ''"),
    }


def main() -> None:
    """Print one JSON object of figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, nargs="?", default=50)
    parser.add_argument("--capacity", type=int, default=2000)
    parser.add_argument("--idle", type=float, default=10.0, help="seconds over which idle CPU is measured")
    parser.add_argument("--restart", action="store_true", help="also kill everything and start it again")
    options = parser.parse_args()
    with scene(options.count, options.capacity) as made:
        made.start("pool")
        figures: dict[str, float] = {"sessions": options.count, **link(made, options.count)}
        figures |= cost(made, options.count, options.idle)
        if options.restart:
            figures |= restart(made, options.count)
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}, indent=2))


if __name__ == "__main__":
    main()
