"""Durable webhooks a second beside the Node service that this project replaces, in one run; prints the ratio.

    .venv/bin/python -m bench.webhooks --baseline FOLDER [--seconds 6] [--rounds 2]

FOLDER holds that service (`server.js`, `schema.sql`, `wrk_webhook.lua`) after `npm install`. Needs wrk and
node. Both sides get one web process, the same PostgreSQL with durable commits, the same Redis and the same
requests, in turns.
"""

import argparse
import json
import re
import statistics
import subprocess
from contextlib import ExitStack
from pathlib import Path

import psycopg

from tests.deployments import Deployment, production_deployment
from tests.processes import Process, answers
from tests.server import free_port, temporary_folder
from tests.servers import start_postgres, start_redis


def measure(url: str, script: Path, seconds: int) -> dict[str, float]:
    """Requests a second and the latency of wrk's 32 connections, in ms; a non-2xx answer ends the bench."""
    command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "--latency", "-s", str(script), url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said:
        raise SystemExit(f"{url} refused:\n{said}")
    return {
        "per_second": float(_find(r"Requests/sec:\s+([\d.]+)", said)[0]),
        "p50_ms": _milliseconds(_find(r"50%\s+([\d.]+)(us|ms|s)", said)),
        "p99_ms": _milliseconds(_find(r"99%\s+([\d.]+)(us|ms|s)", said)),
    }


def _find(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if not found:
        raise SystemExit(f"wrk said nothing like {pattern}:\n{text}")
    return found.groups()


def _milliseconds(value: tuple[str, ...]) -> float:
    return float(value[0]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[value[1]]


def start_baseline(system: Deployment, folder: Path, database_url: str, redis_url: str) -> str:
    """The Node service on a database of its own; its address."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute((folder / "schema.sql").read_bytes())
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def is_ready(_process: Process) -> bool:
        return answers(f"{url}/health")

    node = ["node", str(folder / "server.js")]
    extra = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "PORT": str(port)}
    system.add("baseline", node, ready=is_ready, **extra)
    system.start("baseline")
    return url


def main() -> None:
    """Print one JSON object: both sides' medians and the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--baseline", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    script = options.baseline / "wrk_webhook.lua"
    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres(durable=True))
        redis = stack.enter_context(start_redis())
        system = production_deployment(
            folder=temporary_folder("bench-webhooks"),
            database_url=postgres.create_database("ours"),
            redis_url=redis.url,
            YCLIENTS_PARTNER_TOKEN="bench-token",
            YCLIENTS_APPLICATION_ID="1",
            LOG_LEVEL="WARNING",
        )
        stack.callback(system.close)
        system.manage("migrate")
        system.start("web")
        theirs = start_baseline(system, options.baseline, postgres.create_database("theirs"), redis.url)
        rounds: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
        for _ in range(options.rounds):
            rounds["theirs"].append(measure(theirs, script, options.seconds))
            rounds["ours"].append(measure(system.url, script, options.seconds))
    figures = {
        side: {name: statistics.median(one[name] for one in measured) for name in measured[0]}
        for side, measured in rounds.items()
    }
    ratio = figures["ours"]["per_second"] / figures["theirs"]["per_second"]
    print(json.dumps({**figures, "ours_to_theirs": round(ratio, 3)}, indent=2))


if __name__ == "__main__":
    main()
