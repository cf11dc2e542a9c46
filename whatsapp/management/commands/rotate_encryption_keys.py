"""`manage.py rotate_encryption_keys [--check]`: move every encrypted value to the first key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from whatsapp.crypto import rotation


class Command(BaseCommand):
    """Prints a line of counts for each encrypted column."""

    help = (
        "Rewrite all encrypted values with the first of FIELD_ENCRYPTION_KEYS. Safe while the service runs, "
        "and to repeat. Put the new key first and restart every process before; remove the old key after."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="change nothing; exit with 1 while values are on old keys or cannot be decrypted",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        lost = left = 0
        for column in rotation.columns():
            count = rotation.survey(column) if options["check"] else rotation.rotate(column)
            self.stdout.write(
                f"{column}: {count.current} on the first key, {count.old} on old keys, "
                f"{count.rewritten} rewritten, {count.overtaken} written by others meanwhile, "
                f"{count.undecryptable} undecryptable"
            )
            lost += count.undecryptable
            left += count.old - count.rewritten - count.overtaken
        if lost:
            raise CommandError(f"{lost} values cannot be decrypted with any key; they were left as they are.")
        if left:
            raise CommandError(f"{left} values are still on old keys.")
