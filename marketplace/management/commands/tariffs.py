"""What the application costs, discounts, and names of senders, as YClients has them."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.yclients.billing import BillingApi
from marketplace.yclients.call_errors import YClientsError


class Command(BaseCommand):
    help = (
        "Lists the application's tariffs at YClients; with --discount gives salons a discount, with "
        "--short-names names the senders that one salon may choose from. Ends with 1 when YClients did not "
        "do it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--discount", type=float, metavar="PERCENT", help="for the --salon ones")
        parser.add_argument("--short-names", nargs="+", metavar="NAME", help="for the one --salon")
        parser.add_argument("--salon", type=int, nargs="+", default=[], help="numbers in YClients")
        parser.add_argument("--json", action="store_true", help="the same for programs")

    def handle(self, *_args: Any, **options: Any) -> None:
        salons: list[int] = options["salon"]
        discount, names = options["discount"], options["short_names"]
        if (discount is not None and not salons) or (names and len(salons) != 1):
            raise CommandError("Say with --salon whom it is for.")
        if discount is not None and not 0 < discount <= 100:
            raise CommandError("A discount is more than 0 and at most 100 percent.")
        try:
            with BillingApi() as yclients:
                if discount is not None:
                    yclients.add_discount(salons, percent=discount)
                if names:
                    yclients.set_short_names(salons[0], names)
                found = yclients.tariffs()
        except YClientsError as error:
            raise CommandError(f"YClients did not do it: {error}") from error
        if options["json"]:
            done = {"discount": discount, "short_names": names, "salons": salons}
            self.stdout.write(json.dumps({"tariffs": found, **done}, ensure_ascii=False, indent=2))
        else:
            self._write(found)

    def _write(self, tariffs: list[dict[str, Any]]) -> None:
        for tariff in tariffs:
            self.stdout.write(f"{tariff.get('id')} {tariff.get('title')}")
            for option in tariff.get("options") or []:
                self.stdout.write(
                    f"  {option.get('id')} {option.get('title')}: {option.get('overall_price')} "
                    f"{option.get('currency_iso')} for {option.get('duration_in_months')} months"
                )
        if not tariffs:
            self.stdout.write("YClients has no tariffs of the application.")
