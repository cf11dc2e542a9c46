"""Counts the messages for operators, names what waits longest, and lets given up reports be tried again."""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, Min, QuerySet
from django.utils import timezone

from config.shared.masking import mask_phone
from marketplace.models import Company
from marketplace.notifications import callback_queue
from whatsapp.messages import message_queue
from whatsapp.models import Message, Session

Status = Message.Status


class Command(BaseCommand):
    help = (
        "Counts messages by state and reports by theirs, names the sessions whose messages wait longest and "
        "the reports that were given up. With --replay the given up reports are told again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--salon", type=int, help="only this salon (its number in YClients)")
        parser.add_argument("--most", type=int, default=20, help="sessions and reports named at most")
        parser.add_argument("--json", action="store_true", help="the same for programs")
        parser.add_argument(
            "--replay",
            nargs="*",
            type=int,
            metavar="ID",
            help="try given up reports again: of these messages, or without ids of all (of the --salon)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        salon: int | None = options["salon"]
        company = Company.objects.filter(salon_id=salon).first() if salon else None
        if salon and company is None:
            raise CommandError(f"Salon {salon} never came to us.")
        if options["replay"] is not None:
            self._replay(salon, options["replay"])
            return
        rows = Message.objects.filter(session=company.session_id) if company else Message.objects.all()
        found = {
            **_counts(company),
            "waiting_longest": _waiting(rows, options["most"]),
            "given_up": _given_up(salon, options["most"]),
        }
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
        else:
            self._write(found)

    def _replay(self, salon: int | None, ids: list[int]) -> None:
        changed = callback_queue.replay_dead(salon_id=salon, ids=ids or None)
        self.stdout.write(f"{changed} given up reports are due again; a worker tells them within seconds.")
        if len(ids) > changed:
            raise CommandError(f"{len(ids) - changed} of the messages named have no given up report.")

    def _write(self, found: dict[str, Any]) -> None:
        self.stdout.write(f"messages: {_counted(found['messages'])}")
        self.stdout.write(f"reports: {_counted(found['reports'])}")
        if found["oldest_due_seconds"] is not None:
            self.stdout.write(f"oldest waiting message: due for {found['oldest_due_seconds']} s")
        for row in found["waiting_longest"]:
            self.stdout.write(
                f"  session {row['session']} {row['phone']} ({row['status']}, salons {row['salons']}): "
                f"{row['messages']} waiting, the oldest due for {row['oldest_seconds']} s"
            )
        for row in found["given_up"]:
            self.stdout.write(
                f"  given up: message {row['id']} ({row['status']}) of {row['created_at']}: {row['error']}"
            )


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {word}" for word, number in counts.items() if number) or "none"


def _counts(company: Company | None) -> dict[str, Any]:
    if company is not None and company.session is None:
        return {"messages": {}, "reports": {}, "oldest_due_seconds": None}
    counted = message_queue.counts(session=company.session if company else None)
    due = counted.oldest_due_at
    return {
        "messages": counted.by_status,
        "reports": counted.callbacks,
        "oldest_due_seconds": round((timezone.now() - due).total_seconds()) if due else None,
    }


def _waiting(rows: QuerySet[Message], most: int) -> list[dict[str, Any]]:
    now = timezone.now()
    due = rows.filter(status=Status.QUEUED, not_before__lte=now).values_list("session")
    waiting = list(due.annotate(Count("pk"), oldest=Min("not_before")).order_by("oldest")[:most])
    sessions = _sessions([row[0] for row in waiting])
    return [
        {
            "session": str(pk),
            "phone": mask_phone(sessions[pk].phone),
            "status": sessions[pk].status,
            "salons": ", ".join(str(company.salon_id) for company in sessions[pk].companies.all()),
            "messages": number,
            "oldest_seconds": round((now - oldest).total_seconds()),
        }
        for pk, number, oldest in waiting
    ]


def _sessions(keys: list[UUID]) -> dict[UUID, Session]:
    rows = Session.objects.defer("qr", "pairing_code").prefetch_related("companies")
    return {session.pk: session for session in rows.filter(pk__in=keys)}


def _given_up(salon: int | None, most: int) -> list[dict[str, Any]]:
    rows = callback_queue.dead(salon_id=salon).order_by("-id").defer("callback_url")[:most]
    return [
        {
            "id": row.pk,
            "status": row.status,
            "created_at": f"{row.created_at:%Y-%m-%d %H:%M} UTC",
            "error": row.callback_error,
        }
        for row in rows
    ]
