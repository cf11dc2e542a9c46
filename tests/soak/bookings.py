"""Ten thousand webhooks about five hundred bookings, shuffled, repeated, partial, some lost, through the
webhook intake, the database and the worker's functions. Ends with an AssertionError when a client hears
anything but what he must; else prints one JSON object of figures.

    .venv/bin/python -m tests.soak.bookings [--webhooks 10000] [--records 500] [--seed 1] [--sends 0.2]

Starts a PostgreSQL of its own. The same without a database is in the fast tests.
"""

import argparse
import dataclasses
import json
import logging
import os
import random
import sys
import time
from datetime import UTC, datetime, timedelta

from tests import environment
from tests.server import temporary_folder
from tests.servers import start_postgres

EVERY = 1000  # webhooks between two words on how far it is


def prepare(database_url: str) -> None:
    """Load Django with an empty, migrated database."""
    import django
    from django.core.management import call_command

    for name in environment.variable_names():
        os.environ.pop(name, None)
    folder = temporary_folder("soak-bookings")
    (folder / "static").mkdir()
    os.environ.update(
        environment.unit_environment(database_url=database_url, redis_url="", data_dir=folder),
        DJANGO_SETTINGS_MODULE="config.settings",
        LOG_LEVEL="ERROR",
    )
    django.setup()
    logging.disable(logging.WARNING)
    call_command("migrate", verbosity=0)


def run(*, seed: int, records: int, number: int, sends: float) -> dict[str, object]:
    """Post the webhooks; return the figures."""
    from tests.marketplace.bookings import random_webhooks, webhook_replay
    from tests.marketplace.bookings.salon import open_salon

    open_salon()
    # A little ahead, so that no visit begins while the run lasts.
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
    stream = random_webhooks.make(seed=seed, records=records, webhooks=number, now=now)
    began = time.monotonic()

    def seen(place: int) -> None:
        if place % EVERY == 0:
            print(f"{place} of {len(stream.bodies)} after {time.monotonic() - began:.0f} s", file=sys.stderr)

    result = webhook_replay.run(stream, chance=random.Random(seed), sends=sends, seen=seen)
    seconds = time.monotonic() - began
    return {
        "seed": seed,
        "records": records,
        **dataclasses.asdict(result),
        "seconds": round(seconds, 1),
        "webhooks_per_second": round(len(stream.bodies) / seconds, 1),
    }


def main() -> None:
    """Print one JSON object of figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--webhooks", type=int, default=10_000)
    parser.add_argument("--records", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sends", type=float, default=0.2, help="messages that leave per webhook")
    options = parser.parse_args()
    with start_postgres() as postgres:
        prepare(postgres.create_database("soak"))
        figures = run(
            seed=options.seed, records=options.records, number=options.webhooks, sends=options.sends
        )
        from django.db import connections

        connections.close_all()
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
