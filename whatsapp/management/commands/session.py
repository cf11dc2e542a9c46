"""Restarts, stops, resumes or unlinks one session for operators."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from whatsapp.models import Session
from whatsapp.sessions import services

ACTIONS = {
    "restart": (services.restart, "will be restarted"),
    "stop": (services.stop, "will be taken off line; the device stays linked"),
    "resume": (services.resume, "will be brought back on line"),
    "unlink": (services.unlink, "will be unlinked; the salon must scan a new code to come back"),
}


class Command(BaseCommand):
    help = "Acts on one session. `manage.py sessions` lists them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=UUID, help="the session's uuid")
        parser.add_argument("action", choices=ACTIONS)

    def handle(self, *_args: Any, **options: Any) -> None:
        session = Session.objects.filter(pk=options["id"]).first()
        if session is None:
            raise CommandError(f"There is no session {options['id']}.")
        act, said = ACTIONS[options["action"]]
        act(session=session, reason="operator's command")
        self.stdout.write(f"Session {session.pk} {said}.")
        if not services.pool_is_running():
            self.stderr.write("No session pool is running: this happens when one starts.")
