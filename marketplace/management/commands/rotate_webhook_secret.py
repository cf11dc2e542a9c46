"""`manage.py rotate_webhook_secret (<salon> | --all) [--overlap-days N]`: new webhook addresses."""

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.models import Company
from marketplace.salons import webhook_secrets

MOST_DAYS = 365


def days(text: str) -> int:
    """A whole number of days from 0 to a year."""
    if not text.isdecimal() or int(text) > MOST_DAYS:
        raise ArgumentTypeError(f"a number of days from 0 to {MOST_DAYS} is wanted")
    return int(text)


class Command(BaseCommand):
    """Prints a line for each salon: its number, the new address, and when the old one ends."""

    help = (
        "Give a salon, or all, a new webhook address. The old one works for some days: enter the new one in "
        "YClients (the salon's settings, Webhook) before they end. The printed addresses are secrets."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        chosen = parser.add_mutually_exclusive_group(required=True)
        chosen.add_argument("salon_id", type=int, nargs="?", help="the salon's number in YClients")
        chosen.add_argument("--all", action="store_true", help="every salon that has an address")
        parser.add_argument(
            "--overlap-days", type=days, default=30, help="days that the old address works; 0: not at all"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        companies = Company.objects.exclude(webhook_secret="").order_by("salon_id")
        if not options["all"]:
            companies = companies.filter(salon_id=options["salon_id"])
            if not companies.exists():
                raise CommandError(f"Salon {options['salon_id']} has no webhook address.")
        for company in companies.iterator(chunk_size=100):
            try:
                until = webhook_secrets.rotate(
                    company=company, overlap=timedelta(days=options["overlap_days"]), by="operator"
                )
            except webhook_secrets.NoAddress:
                self.stderr.write(f"{company.salon_id}: changed meanwhile, left as it is")
                continue
            ends = f"the old one works until {until:%Y-%m-%d %H:%M} UTC"
            self.stdout.write(f"{company.salon_id}\t{webhook_secrets.address_of(company)}\t{ends}")
