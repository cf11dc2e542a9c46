"""Lets kept webhooks be applied again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from marketplace.models import InboundWebhook
from marketplace.webhooks import processing


class Command(BaseCommand):
    help = "Applies kept webhooks again: by their ids, or all in a state."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, help="ids as in the admin")
        parser.add_argument("--state", choices=["failed", "dead"], help="all webhooks in this state")
        parser.add_argument("--salon", type=int, help="only those of this salon (its number in YClients)")

    def handle(self, *_args: Any, **options: Any) -> None:
        chosen = self._choose(options["ids"], options["state"], options["salon"])
        failed = 0
        for webhook in chosen:
            processing.replay(webhook=webhook)
            state = processing.apply(webhook=webhook)
            failed += state in (InboundWebhook.State.FAILED, InboundWebhook.State.DEAD)
            cause = f": {_last_line(webhook.last_error)}" if webhook.last_error else ""
            self.stdout.write(
                f"webhook {webhook.pk} of salon {webhook.salon_id}, {webhook.name}: {state}{cause}"
            )
        self.stdout.write(f"{len(chosen)} replayed, {failed} failed")
        if failed:
            raise CommandError("Some webhooks failed again; a worker repeats them, the admin shows why.")

    def _choose(self, ids: list[int], state: str | None, salon: int | None) -> list[InboundWebhook]:
        if bool(ids) == bool(state):
            raise CommandError("Name webhooks by their ids, or a --state.")
        rows: QuerySet[InboundWebhook] = InboundWebhook.objects.order_by("id")
        rows = rows.filter(pk__in=ids) if ids else rows.filter(state=state)
        chosen = list(rows.filter(salon_id=salon) if salon else rows)
        if missing := sorted(set(ids) - {row.pk for row in chosen}):
            raise CommandError(f"No such webhook: {', '.join(map(str, missing))}")
        return chosen


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]
