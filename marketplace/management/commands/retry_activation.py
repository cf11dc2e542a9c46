"""Asks for a salon's activation again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.models import Company
from marketplace.salons import activation


class Command(BaseCommand):
    help = "Activates a salon now, whatever failed before; safe to repeat, a salon gets one key only."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("salon_id", type=int, help="the salon's number in YClients")

    def handle(self, *_args: Any, **options: Any) -> None:
        salon_id: int = options["salon_id"]
        company = Company.objects.filter(salon_id=salon_id).first()
        if company is None:
            raise CommandError(f"Salon {salon_id} never came to us.")
        try:
            result = activation.activate(company=company, cause="operator")
        except activation.ActivationError as error:
            company.refresh_from_db()
            raise CommandError(f"Salon {salon_id} is {company.status}: {error.message}") from error
        self.stdout.write(f"Salon {salon_id} is active, YClients said {result.yclients_response['status']}.")
