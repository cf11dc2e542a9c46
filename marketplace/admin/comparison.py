"""What YClients was told of a salon's channel, what it says of the salon, and differences, for support."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from config.shared import hints, support
from config.shared.operations import OperableAdmin, Operation
from config.shared.support import ReadMostlyAdmin, Text
from marketplace.models import Channel, Company, CompanyCheck, Discrepancy, UninstallRequest
from marketplace.sync import channels, discrepancies, reconciliation, repairs

CHANNEL_TONES = {"settled": "good", "due": "busy", "refused": "bad"}
KIND_TONES = {
    "pending_there": "waiting",
    "not_activated": "waiting",
    "unknown_here": "bad",
    "missing_there": "bad",
    "uninstall_denied": "bad",
}


def _compare(company: Company, _cause: str) -> None:
    reconciliation.make_due(company)
    hints.wake_workers()


def _report_channel(company: Company, _cause: str) -> None:
    channels.report_again(company)
    hints.wake_workers()


def _why_not_compare(company: Company) -> Text:
    if company.status in repairs.COMPARED:
        return ""
    return _("Only active and frozen salons are compared.")


def _why_not_report(company: Company) -> Text:
    if company.status != Company.Status.ACTIVE:
        return _("YClients is told of active salons only.")
    if not Channel.objects.filter(company=company).exists():
        return _("There was nothing to tell: WhatsApp has been available since the activation.")
    return ""


def _close(row: Discrepancy, _cause: str) -> None:
    discrepancies.resolve(salon_id=row.salon_id, kinds=[row.kind])


def _why_not_close(row: Discrepancy) -> Text:
    if row.kind != Discrepancy.Kind.UNINSTALL_DENIED:
        return _("It is closed by itself when both say the same.")
    return "" if row.resolved_at is None else _("It is closed already.")


COMPARE = Operation(
    name="compare",
    label=_("Compare with YClients"),
    consequence=_(
        "A worker asks YClients within seconds whether the salon is active, frozen or not installed, and "
        "repairs what is certain. That it is not installed must be said twice, 15 minutes apart, before the "
        "device is unlinked."
    ),
    perform=_compare,
    refusal=_why_not_compare,
)
REPORT_CHANNEL = Operation(
    name="report-channel",
    label=_("Tell YClients whether WhatsApp works"),
    consequence=_(
        "A worker tells YClients within seconds what is so now, whatever YClients was told or refused before."
    ),
    perform=_report_channel,
    refusal=_why_not_report,
)


CLOSE = Operation(
    name="close",
    label=_("Close the difference"),
    consequence=_("The difference is not shown any more until it comes up again. Nothing else changes."),
    perform=_close,
    refusal=_why_not_close,
)


class WithComparison(ReadMostlyAdmin):
    """The fields of a salon's page that show its channel and its comparison."""

    COMPARISON: Any = ("YClients", {"fields": ["channel_there", "compared", "differences"]})

    @admin.display(description=_("channel at YClients"))
    def channel_there(self, company: Company) -> str:
        row = Channel.objects.filter(company=company).first()
        if row is None:
            return support.state(_("available since the activation"), "good")
        believed = {True: _("available"), False: _("not available"), None: _("not known")}[row.told]
        word = support.state(f"{believed}: {row.get_state_display()}", CHANNEL_TONES[row.state])
        parts = [word, support.moment(row.told_at)] if row.told_at else [word]
        return support.joined([*parts, *([row.last_error] if row.last_error else [])])

    @admin.display(description=_("comparison with YClients"))
    def compared(self, company: Company) -> str:
        row = CompanyCheck.objects.filter(company=company).first()
        if row is None:
            return support.NOTHING
        parts = [row.said or support.NOTHING, support.moment(row.checked_at)]
        if UninstallRequest.objects.filter(company=company).exists():
            parts.append(support.state(_("said to be uninstalled, YClients is being asked"), "bad"))
        if row.missing_since:
            parts.append(support.state(_("not installed there, asked again soon"), "bad"))
        return support.joined([*parts, *([row.last_error] if row.last_error else [])])

    @admin.display(description=_("differences"))
    def differences(self, company: Company) -> str:
        rows = Discrepancy.objects.filter(salon_id=company.salon_id, resolved_at__isnull=True)
        return support.joined([support.link(row, row.get_kind_display()) for row in rows]) or support.NOTHING


class OpenFilter(admin.SimpleListFilter):
    """Differences that still stand, unless all are asked for."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Text]]:
        return [("all", _("resolved ones too"))]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": _("open")}, *others]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset if self.value() == "all" else queryset.filter(resolved_at__isnull=True)


@admin.register(Discrepancy)
class DiscrepancyAdmin(OperableAdmin):
    """Salons of which YClients and we say different things."""

    operations = (CLOSE,)
    list_display = ("number", "kind_word", "name", "ours", "theirs", "seen", "resolved")
    list_filter = (OpenFilter, ("kind", support.titled(_("Kind"))))
    list_select_related = ("company",)
    search_fields = ("=salon_id", "title")
    fieldsets = [
        (None, {"fields": ["number", "kind_word", "name", "salon", "ours", "theirs"]}),
        (_("Times"), {"fields": ["first", "seen", "resolved"]}),
    ]

    number = support.plain_column("salon_id", _("number in YClients"))
    kind_word = support.state_column("kind", _("difference"), KIND_TONES)
    name = support.plain_column("title", _("name"))
    ours = support.plain_column("here", _("here"))
    theirs = support.plain_column("there", _("in YClients"))
    first = support.moment_column("first_seen_at", _("first seen"))
    seen = support.moment_column("last_seen_at", _("last seen"))
    resolved = support.moment_column("resolved_at", _("resolved"))

    @admin.display(description=_("salon"))
    def salon(self, row: Discrepancy) -> str:
        return support.link(row.company, str(row.company)) if row.company else support.NOTHING
