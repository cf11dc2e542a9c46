"""Compares salons with YClients now, and repairs what is certain."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import F, QuerySet

from config.shared.progress import with_progress
from marketplace.models import Company
from marketplace.sync import discrepancies, listing, reconciliation, repairs
from marketplace.sync.reconciliation import Finding
from marketplace.yclients.call_errors import YClientsError

DIFFERENCES_LEFT = 3
FAILED = 1
FAILURES_MOST = 3  # in a row; then YClients is down, and the rest is left for the next run
AGREES = ("agrees", "changed meanwhile")
REPAIRED = ("frozen", "unfrozen", "uninstalled")


class Command(BaseCommand):
    help = (
        "Compares every active or frozen salon with YClients and repairs it: missed freezes, payments and "
        "uninstalls. Lists salons that are installed there and unknown or not activated here. Ends with 0 "
        "when everything agrees or was repaired, with 3 when differences are left, with 1 when YClients "
        "could not be asked; the next run goes on with what was compared longest ago."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
        parser.add_argument("--salon", type=int, help="only this salon (its number in YClients)")
        parser.add_argument(
            "--confirm-uninstalls",
            action="store_true",
            help="uninstall what YClients says is not installed, however many salons these are",
        )

        parser.add_argument("--json", action="store_true", help="one JSON object, no progress")

    def handle(self, *_args: Any, **options: Any) -> None:
        self.as_json: bool = options["json"]
        self.differences: list[dict[str, Any]] = []
        self.failures = 0
        self.left = self.repaired = self.agreed = 0
        dry, salon = options["dry_run"], options["salon"]
        unsure = self._compare(self._chosen(salon), dry=dry, confirmed=options["confirm_uninstalls"])
        # Only when all have been asked once is it known whether many are gone.
        self._compare(unsure, dry=dry, apart=timedelta())
        listed = 0 if salon or self.failures >= FAILURES_MOST else self._list(dry=dry)
        self._sum_up(listed if not salon else None)
        if self.failures:
            raise CommandError(
                f"YClients could not be asked {self.failures} times; run it again to go on.",
                returncode=FAILED,
            )
        if self.left:
            raise CommandError("Differences are left, see above.", returncode=DIFFERENCES_LEFT)

    def _chosen(self, salon: int | None) -> "QuerySet[Company]":
        rows = Company.objects.filter(status__in=repairs.COMPARED)
        if salon is None:
            return rows.order_by(F("check_row__checked_at").asc(nulls_first=True), "pk")
        if not Company.objects.filter(salon_id=salon).exists():
            raise CommandError(f"Salon {salon} never came to us.")
        chosen = rows.filter(salon_id=salon)
        if not chosen:
            raise CommandError(f"Salon {salon} is neither active nor frozen; there is nothing to compare.")
        return chosen

    def _compare(
        self, companies: "list[Company] | QuerySet[Company]", *, dry: bool, **how: Any
    ) -> list[Company]:
        """Compare until YClients seems to be down; return those that are to be asked about again."""
        unsure = []
        total = len(companies) if isinstance(companies, list) else companies.count()
        for company in with_progress(companies, total=total, what="salons", quiet=self.as_json):
            if self.failures >= FAILURES_MOST:
                break
            finding = self._compared(company, dry=dry, **how)
            if finding and finding.action == repairs.ASKED_AGAIN:
                unsure.append(company)
            elif finding:
                self._say(finding)
        return unsure

    def _compared(self, company: Company, *, dry: bool, **how: Any) -> Finding | None:
        try:
            if dry:
                found: Finding | None = reconciliation.preview(company)
            else:
                found = reconciliation.check_now(company, **how)
        except YClientsError as error:
            self.failures += 1
            self.stderr.write(f"salon {company.salon_id}: not compared, {error}")
            return None
        self.failures = 0
        if found is None:
            self._line(
                f"salon {company.salon_id}: a worker is comparing it now",
                salon_id=company.salon_id,
                action="compared_by_a_worker",
            )
        return found

    def _say(self, found: Finding) -> None:
        if found.action in AGREES:
            self.agreed += 1
            return
        if found.action in REPAIRED:
            self.repaired += 1
        else:
            self.left += 1
        self._line(
            f"salon {found.salon_id}: {found.here} here, {found.there} there: {found.action}",
            salon_id=found.salon_id,
            here=str(found.here),
            there=str(found.there),
            action=str(found.action),
        )

    def _line(self, text: str, **fields: Any) -> None:
        """One difference: a line, or a part of the JSON object at the end."""
        if self.as_json:
            self.differences.append(fields)
        else:
            self.stdout.write(text)

    def _sum_up(self, listed: int | None) -> None:
        if self.as_json:
            counts = {"agree": self.agreed, "repaired": self.repaired, "differ": self.left, "listed": listed}
            self.stdout.write(json.dumps({**counts, "salons": self.differences}))
            return
        lists = f"; YClients lists {listed}" if listed is not None else ""
        self.stdout.write(f"{self.agreed} agree, {self.repaired} repaired, {self.left} differ{lists}")

    def _list(self, *, dry: bool) -> int:
        """Read the whole list of YClients; return how many salons it has."""
        listed = 0
        try:
            for page in _pages(dry=dry):
                listed += page.listed
                for found in sorted(page.differences, key=lambda one: one.salon_id):
                    self.left += 1
                    words = listing.meaning(found.kind)
                    self._line(
                        f"salon {found.salon_id}: {words}", salon_id=found.salon_id, action=str(found.kind)
                    )
        except YClientsError as error:
            self.failures += 1
            self.stderr.write(f"list of salons: not read, {error}")
        return listed


def _pages(*, dry: bool) -> Iterator[listing.Page]:
    number = 1
    while True:
        page = listing.read(number)
        if not dry:
            discrepancies.store_listed(page.salons, page.differences)
        yield page
        if page.is_last:
            return
        number += 1
