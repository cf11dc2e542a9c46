"""Runs the whole product beside local stand-ins for YClients and WhatsApp, in this one process."""

import os
import socket
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Runs everything on this machine, nothing outside is touched; says which page to open."
    requires_system_checks = []  # the sandbox settings are made here, a moment later

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))

    def handle(self, *_args: Any, **options: Any) -> None:
        if not settings.SQLITE or settings.REDIS_URL:
            raise CommandError(
                "The demo runs on the embedded default only: unset DATABASE_URL and REDIS_URL."
            )
        port: int = options["port"]
        if not _is_free(port):
            raise CommandError(f"Port {port} is taken. Choose another one: PORT={port + 1} make demo")
        call_command("migrate", verbosity=0, skip_checks=True)
        from sandbox.demo.run import Demo

        Demo(port=port, say=self._say).run()

    def _say(self, line: str) -> None:
        """At once, also into a file: the first thing to know is which page to open."""
        self.stdout.write(line)
        self.stdout.flush()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
