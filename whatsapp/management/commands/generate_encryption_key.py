"""`manage.py generate_encryption_key`: a new key for FIELD_ENCRYPTION_KEYS."""

from typing import Any

from cryptography.fernet import Fernet
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Prints one key and keeps nothing."""

    help = "Print a new Fernet key for FIELD_ENCRYPTION_KEYS (the first entry writes, all of them read)."
    requires_system_checks: list[str] = []  # the missing key is one of the things they would complain about

    def handle(self, *_args: Any, **_options: Any) -> None:
        self.stdout.write(Fernet.generate_key().decode())
