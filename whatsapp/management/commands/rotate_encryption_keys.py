"""`manage.py rotate_encryption_keys [--check]`: encrypted values to the first key, digests to SECRET_KEY."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.shared.progress import progress_bar
from whatsapp.crypto import rotation


class Command(BaseCommand):
    """Prints a line of counts for each encrypted column, and for each column of digests."""

    help = (
        "Rewrite all encrypted values with the first of FIELD_ENCRYPTION_KEYS, and the digests by which keys "
        "and addresses are found with SECRET_KEY. Safe while the service runs, and to repeat. Before, put "
        "the new key first, or the old SECRET_KEY into SECRET_KEY_FALLBACKS, and restart every process; "
        "remove the old one after."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="change nothing; exit with 1 while values are on old keys or cannot be decrypted",
        )

        parser.add_argument("--json", action="store_true", help="one JSON object, no progress")

    def handle(self, *_args: Any, **options: Any) -> None:
        check, as_json = options["check"], options["json"]
        values = rotation.survey if check else rotation.rotate
        digests = rotation.survey_digests if check else rotation.rotate_digests
        counts = {}
        for column in rotation.columns():
            total = column.model._base_manager.count()
            with progress_bar(total=total, what=str(column), quiet=as_json) as on_row:
                counts[str(column)] = values(column, on_row)
            if column.digest_name:
                name = f"{column.model._meta.label}.{column.digest_name}"
                with progress_bar(total=total, what=name, quiet=as_json) as on_row:
                    counts[name] = digests(column, on_row)
        self._say(counts, as_json=as_json)
        lost = sum(count.undecryptable for count in counts.values())
        left = sum(count.old - count.rewritten - count.overtaken for count in counts.values())
        if lost:
            raise CommandError(f"{lost} values cannot be decrypted with any key; they were left as they are.")
        if left:
            raise CommandError(f"{left} values are still on old keys.")

    def _say(self, counts: dict[str, rotation.Count], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({name: asdict(count) for name, count in counts.items()}))
            return
        for name, count in counts.items():
            self.stdout.write(
                f"{name}: {count.current} on the first key, {count.old} on old keys, "
                f"{count.rewritten} rewritten, {count.overtaken} written by others meanwhile, "
                f"{count.undecryptable} undecryptable"
            )
