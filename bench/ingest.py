"""What the ingest benches share: our servers and the Node baseline, one after the other, in one run."""

import itertools
import json
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import psycopg

from bench.wrk import Figures, measure
from tests.deployments import Deployment
from tests.processes import BINARIES, Process, answers
from tests.server import free_port

PROBE = "/webhook/yclients"
# Each is one process; `{port}` is replaced.
SERVERS = {
    "daphne": [str(BINARIES / "daphne"), "-b", "127.0.0.1", "-p", "{port}", "config.asgi:application"],
    "uvicorn": [
        *(sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}"),
        *("--no-access-log", "--log-level", "warning", "config.ingest:application"),
    ],
    "granian": [
        *(sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}"),
        *("--no-ws", "config.ingest:application"),
    ],
}


def start_server(system: Deployment, name: str) -> str:
    """Start one of SERVERS in the deployment's environment; return its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def is_ready(_process: Process) -> bool:
        return answers(f"{url}{PROBE}")

    system.add(name, [part.replace("{port}", str(port)) for part in SERVERS[name]], ready=is_ready)
    system.start(name)
    return url


def start_baseline(
    system: Deployment, folder: Path, database_url: str, redis_url: str, *, port: int = 0
) -> str:
    """Start the Node service on a database of its own, at a free port by default; return its address."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute((folder / "schema.sql").read_bytes())
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"

    def is_ready(_process: Process) -> bool:
        return answers(f"{url}/health")

    node = ["node", str(folder / "server.js")]
    extra = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "PORT": str(port)}
    system.add("baseline", node, ready=is_ready, **extra)
    system.start("baseline")
    return url


def compare(urls: dict[str, str], script: str, *, seconds: int, rounds: int) -> dict[str, Figures]:
    """Measure every address in turns; return the medians.

    `script` is wrk's, with a line `local n = 0`: every round begins at another number, so that it posts
    nothing that was posted before.
    """
    measured: dict[str, list[Figures]] = {name: [] for name in urls}
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "post.lua"
        for _round in range(rounds):
            for name, url in urls.items():
                first = next(numbers) * 10_000_000
                path.write_text(script.replace("local n = 0", f"local n = {first}"))
                measured[name].append(measure(url, path, seconds))
    return {name: median_of(figures) for name, figures in measured.items()}


def median_of(figures: list[Figures]) -> Figures:
    """The median of each figure."""
    rows = [asdict(one) for one in figures]
    return Figures(**{field: statistics.median(row[field] for row in rows) for field in rows[0]})


def show(title: str, figures: dict[str, Figures]) -> None:
    """Print one JSON object: the medians, and each server's ratio to the baseline."""
    theirs = figures["baseline"]
    rows = {
        name: {**asdict(one), "ratio": round(one.per_second / theirs.per_second, 2)}
        for name, one in figures.items()
    }
    print(json.dumps({title: rows}, indent=2))
