"""Operator requests a second beside the Node service that this project replaces, in one run; with ratios.

    .venv/bin/python -m bench.operator --baseline FOLDER [--servers daphne,uvicorn] [--seconds 6] [--rounds 2]

FOLDER holds that service after `npm install`. It has no operator address, so the bench adds an equal one to a
copy: the key is looked up, each message is inserted once, the answer names their numbers. Every request and
every message is new; 500 salons send in turn. Needs wrk and node.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path

from bench import ingest
from tests.deployments import production_deployment
from tests.server import temporary_folder
from tests.servers import start_postgres, start_redis

NEW_SALONS = """
from django.utils import timezone
from marketplace.models import Company
from whatsapp.crypto.encryption import lookup_digest
from whatsapp.models import Session
for number in range(500):
    session = Session.objects.create(jid=f"7999{number:07d}:1@s.whatsapp.net", wanted="linked")
    key = f"bench-key-{number}"
    Company.objects.create(
        salon_id=100000 + number, status="active", session=session, activated_at=timezone.now(),
        phone="79990000900", api_key=key, api_key_digest=lookup_digest(key),
    )
"""
HERE = Path(__file__).parent


def baseline_with_operator(folder: Path) -> Path:
    """Copy the Node service to a temporary folder, with the operator's address."""
    copy = temporary_folder("bench-operator-baseline")
    server = (folder / "server.js").read_text()
    before, listen, after = server.partition("server.listen(")
    route = (HERE / "operator_route.js").read_text()
    (copy / "server.js").write_text(before + route + listen + after)
    (copy / "schema.sql").write_text(
        (folder / "schema.sql").read_text() + (HERE / "operator_schema.sql").read_text()
    )
    (copy / "node_modules").symlink_to((folder / "node_modules").resolve())
    return copy


def main() -> None:
    """Start the servers, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--baseline", type=Path, required=True)
    parser.add_argument("--servers", default="daphne")
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--messages", default="1,20", help="messages in a request, one series each")
    options = parser.parse_args()
    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres(durable=True))
        redis = stack.enter_context(start_redis())
        system = production_deployment(
            folder=temporary_folder("bench-operator"),
            database_url=postgres.create_database("ours"),
            redis_url=redis.url,
            LOG_LEVEL="WARNING",
            SALON_QUEUE_LIMIT="0",  # nobody sends here, and the other side has no limit
        )
        stack.callback(system.close)
        system.manage("migrate", seconds=300.0)
        system.shell(NEW_SALONS)
        theirs = postgres.create_database("theirs")
        folder = baseline_with_operator(options.baseline)
        urls = {"baseline": ingest.start_baseline(system, folder, theirs, redis.url)}
        urls |= {name: ingest.start_server(system, name) for name in options.servers.split(",")}
        callback = f"{system.environment['YCLIENTS_API_URL']}/api/v1/sms/delivery/bench"
        for messages in options.messages.split(","):
            script = (HERE / "operator.lua").read_text()
            script = script.replace("MESSAGES", messages).replace("CALLBACK", callback)
            addresses = {name: f"{url}/yclients/messages/" for name, url in urls.items()}
            figures = ingest.compare(addresses, script, seconds=options.seconds, rounds=options.rounds)
            ingest.show(f"operator requests of {messages}", figures)


if __name__ == "__main__":
    main()
