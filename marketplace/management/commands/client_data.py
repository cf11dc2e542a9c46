"""Exports or erases everything that is held of one client."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from config.shared.masking import mask_phone
from marketplace.models import Company
from marketplace.privacy import client_data
from marketplace.salons import phone_numbers


class Command(BaseCommand):
    help = (
        "Writes out (export) or erases everything that is held of one client, as the law grants him: "
        "messages with their files, bookings, webhooks, opt-outs, known numbers. Opt-outs go on holding by "
        "a hash. It is written down who did it. Ends with 3 when messages were just being sent: erase again "
        "in a minute."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("phone", help="with the country code, as people write it")
        parser.add_argument("action", choices=["export", "erase"])
        parser.add_argument("--salon", type=int, help="only this salon (its number in YClients)")
        parser.add_argument("--json", action="store_true", help="counts as JSON; an export is JSON always")

    def handle(self, *_args: Any, **options: Any) -> None:
        salon: int | None = options["salon"]
        if salon is not None and not Company.objects.filter(salon_id=salon).exists():
            raise CommandError(f"Salon {salon} never came to us.")
        try:
            phone = phone_numbers.digits_of(options["phone"], region=phone_numbers.DEFAULT_REGION)
        except phone_numbers.NotAPhone as error:
            raise CommandError("This is not a phone number.") from error
        if options["action"] == "export":
            found = client_data.export(phone=phone, by="command", salon_id=salon)
            self.stdout.write(json.dumps(found, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder))
            return
        self._erase(phone, salon, as_json=options["json"])

    def _erase(self, phone: str, salon: int | None, *, as_json: bool) -> None:
        counts = client_data.erase(phone=phone, by="command", salon_id=salon)
        if as_json:
            self.stdout.write(json.dumps(counts))
        else:
            listed = ", ".join(f"{name} {number}" for name, number in counts.items())
            self.stdout.write(f"Erased of {mask_phone(phone)}: {listed}.")
        if counts["in_flight"]:
            raise CommandError("Messages are just being sent; erase again in a minute.", returncode=3)
