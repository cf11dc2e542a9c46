"""Removes the application from a salon, at YClients and here."""

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from marketplace.models import Company, UninstallRequest
from marketplace.salons import lifecycle
from marketplace.sync import uninstalls

WAIT, POLL = 15.0, 0.2  # seconds for a worker that has the request already


class Command(BaseCommand):
    help = (
        "Removes the application from a salon at YClients; then its device is unlinked and its keys are "
        "destroyed. Ends with 0 when done, 3 when a worker goes on with it, 4 when YClients refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("salon_id", type=int, help="the salon's number in YClients")
        parser.add_argument("--json", action="store_true", help="the same for programs")

    def handle(self, *_args: Any, **options: Any) -> None:
        salon_id: int = options["salon_id"]
        with transaction.atomic():
            company = lifecycle.locked(salon_id)
            if company is None:
                raise CommandError(f"Salon {salon_id} never came to us.")
            lifecycle.request_removal(company, by="command")
        for request in UninstallRequest.objects.filter(company=company):
            uninstalls.check(request.pk)
        ends = time.monotonic() + WAIT
        claimed = UninstallRequest.objects.filter(company=company, claimed_until__gt=timezone.now())
        while claimed.exists() and time.monotonic() < ends:
            time.sleep(POLL)
        company.refresh_from_db()
        waits = UninstallRequest.objects.filter(company=company).exists()
        if options["json"]:
            self.stdout.write(json.dumps({"salon": salon_id, "status": company.status, "waits": waits}))
        else:
            self.stdout.write(f"Salon {salon_id} is {company.status}.")
        if waits:
            raise CommandError("YClients has not removed it yet; a worker goes on.", returncode=3)
        if company.status != Company.Status.UNINSTALLED:
            raise CommandError("YClients refused to remove the application.", returncode=4)
