"""`manage.py reset_second_factor <username>`: for staff who lost their phone and their recovery codes."""

from typing import Any

import structlog
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import second_factor

log = structlog.get_logger("support")


class Command(BaseCommand):
    """Ends the sessions' second step too; the next sign-in leads to the enrolment."""

    help = "Forget a staff member's authenticator and recovery codes. Make sure first who asks for it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *_args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']}.")
        second_factor.reset(user)
        log.warning("second factor reset", user=user.get_username())
        self.stdout.write(f"{user.get_username()} sets up the second step anew at the next sign-in.")
