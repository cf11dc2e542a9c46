"""Lists the sessions for operators."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from config.shared.masking import mask_phone
from whatsapp.models import Session

ROW = "{:<36}  {:<8}  {:<12}  {:<15}  {:<34}  {:<12}  {}"


class Command(BaseCommand):
    help = "Lists sessions: wanted and actual state, masked phone, lease, last error."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--status", choices=Session.Status.values, help="only these")
        parser.add_argument("--limit", type=int, default=200)

    def handle(self, *_args: Any, **options: Any) -> None:
        sessions = Session.objects.order_by("-updated_at")
        if options["status"]:
            sessions = sessions.filter(status=options["status"])
        total = sessions.count()
        self.stdout.write(
            ROW.format("session", "wanted", "status", "phone", "lease", "changed", "last error")
        )
        for session in sessions[: options["limit"]]:
            self.stdout.write(self._row(session))
        shown = min(total, options["limit"])
        self.stdout.write(f"{shown} of {total} sessions")

    @staticmethod
    def _row(session: Session) -> str:
        now = timezone.now()
        lease = "-"
        if session.lease_owner and session.lease_expires_at:
            left = (session.lease_expires_at - now).total_seconds()
            lease = f"{session.lease_owner} {left:.0f}s" if left > 0 else f"{session.lease_owner} expired"
        age = f"{(now - session.updated_at).total_seconds():.0f}s ago"
        phone = mask_phone(session.phone) or "-"
        return ROW.format(
            str(session.pk), session.wanted, session.status, phone, lease, age, session.last_error or "-"
        )
