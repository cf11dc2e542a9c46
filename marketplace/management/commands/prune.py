"""Forgets texts, phones and old history; workers do the same once a day."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.shared.progress import with_progress
from marketplace.worker import retention


class Command(BaseCommand):
    help = (
        "Removes what is older than its time, in small batches beside the running service; safe to repeat. "
        "Ages are days, 0 keeps for ever; without an option the settings' age counts."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say how many rows it would be")
        parser.add_argument("--json", action="store_true", help="one JSON object, no progress")
        for kind in retention.KINDS:
            text = f"{kind.what} (now {retention.days_of(kind)}, {kind.setting})"
            parser.add_argument(f"--{kind.name}", type=int, metavar="DAYS", help=text)

    def handle(self, *_args: Any, **options: Any) -> None:
        given = {kind.name: options[kind.name.replace("-", "_")] for kind in retention.KINDS}
        ages = {name: days for name, days in given.items() if days is not None}
        if any(days < 0 for days in ages.values()):
            raise CommandError("An age is a number of days, 0 or more.")
        dry, as_json = options["dry_run"], options["json"]
        step = retention.count if dry else retention.prune
        results = []
        for kind in with_progress(
            retention.KINDS, total=len(retention.KINDS), what="kinds of data", quiet=as_json
        ):
            results += step(ages=ages, kinds=[kind])
        if as_json:
            self.stdout.write(json.dumps({"dry_run": dry, **{one.kind: one.rows for one in results}}))
            return
        for result in results:
            age = f"older than {result.days} days" if result.days else "kept for ever"
            done = "would be forgotten" if dry else "forgotten"
            self.stdout.write(f"{result.kind}, {age}: {result.rows} {done}")
