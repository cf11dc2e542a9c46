"""Durable webhooks a second beside the Node service that this project replaces, in one run; with ratios.

    .venv/bin/python -m bench.webhooks --baseline FOLDER [--servers daphne,uvicorn] [--seconds 6] [--rounds 2]

FOLDER holds that service (`server.js`, `schema.sql`, `wrk_webhook.lua`) after `npm install`. Needs wrk and
node. Every side gets one web process, the same PostgreSQL with durable commits, the same Redis and the same
requests, in turns.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path

from bench import ingest
from tests.deployments import production_deployment
from tests.server import temporary_folder
from tests.servers import start_postgres, start_redis


def main() -> None:
    """Start the servers, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--baseline", type=Path, required=True)
    parser.add_argument("--servers", default="daphne")
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
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
        system.manage("migrate", seconds=300.0)
        theirs = postgres.create_database("theirs")
        urls = {"baseline": ingest.start_baseline(system, options.baseline, theirs, redis.url)}
        urls |= {name: ingest.start_server(system, name) for name in options.servers.split(",")}
        script = (options.baseline / "wrk_webhook.lua").read_text()
        figures = ingest.compare(urls, script, seconds=options.seconds, rounds=options.rounds)
    ingest.show("webhooks", figures)


if __name__ == "__main__":
    main()
