"""Bookings for support staff: what is known of each, what its client was told, and when he is reminded."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.masking import mask_phone
from config.shared.support import ReadMostlyAdmin
from marketplace.admin.sessions import COMPANY_SECRETS, salon_name
from marketplace.admin.waiting import WaitingFilter
from marketplace.bookings import rows, wording
from marketplace.bookings.visits import Visit
from marketplace.models import RecordState
from whatsapp.models import Message


@admin.register(RecordState)
class RecordStateAdmin(ReadMostlyAdmin):
    """Bookings as YClients last described them."""

    hidden = tuple(f"company__{name}" for name in COMPANY_SECRETS)
    list_display = ("number", "salon", "visit", "state_word", "phone_masked", "reminder")
    list_filter = (
        ("deleted", support.titled(_("Cancelled"))),
        ("starts_at", support.titled(_("Visit"), admin.DateFieldListFilter)),
        WaitingFilter,
    )
    list_select_related = ("company",)
    search_fields = ("=record_id", "=company__salon_id", "company__title")
    digits_search = ("phone",)
    ordering = ("-updated_at",)
    private = {"phone_full": "phone_masked", "known_full": "known_masked", "said_full": "said_masked"}
    fieldsets = [
        (None, {"fields": ["number", "salon", "visit", "state_word", "staff", "services", "phone_full"]}),
        (_("What the client knows"), {"fields": ["known_full", "said_full"]}),
        (_("Reminder"), {"fields": ["reminder", "reminded", "tries", "reminder_error_block"]}),
        (_("Times"), {"fields": ["created", "changed"]}),
    ]

    number = support.plain_column("record_id", _("the booking's number in YClients"))
    phone_full = support.plain_column("phone", _("phone"))
    phone_masked = support.masked_phone_column("phone", _("phone"))
    reminder = support.moment_column("reminder_at", _("reminder"))
    reminded = support.moment_column("reminded_for", _("visit reminded of"))
    tries = support.plain_column("reminder_attempts", _("attempts"))
    reminder_error_block = support.block_field("reminder_error", _("last error"))
    created = support.moment_column("created_at", _("created"))
    changed = support.moment_column("updated_at", _("changed"))

    @admin.display(description=_("salon"), ordering="company__title")
    def salon(self, row: RecordState) -> str:
        return support.link(row.company, salon_name(row.company))

    @admin.display(description=_("visit"), ordering="starts_at")
    def visit(self, row: RecordState) -> str:
        """By the salon's clock."""
        visit = rows.booking_of(row).visit
        return _when(row, visit) if visit else support.NOTHING

    @admin.display(description=_("state"), ordering="deleted")
    def state_word(self, row: RecordState) -> str:
        return support.state(_("cancelled"), "off") if row.deleted else support.state(_("booked"), "good")

    @admin.display(description=_("staff"))
    def staff(self, row: RecordState) -> str:
        visit = rows.booking_of(row).visit
        return visit.staff[1] if visit and visit.staff else support.NOTHING

    @admin.display(description=_("services"))
    def services(self, row: RecordState) -> str:
        visit = rows.booking_of(row).visit
        titles = [title for _number, title in (visit.services or ())] if visit else []
        return ", ".join(titles) or support.NOTHING

    @admin.display(description=_("knows of"))
    def known_full(self, row: RecordState) -> str:
        return _known(row, phones=True)

    @admin.display(description=_("knows of"))
    def known_masked(self, row: RecordState) -> str:
        return _known(row, phones=False)

    @admin.display(description=_("last messages"))
    def said_full(self, row: RecordState) -> str:
        return _said(row, phones=True)

    @admin.display(description=_("last messages"))
    def said_masked(self, row: RecordState) -> str:
        return _said(row, phones=False)


def _known(row: RecordState, *, phones: bool) -> str:
    """What each phone knows, a line each; that it is only assumed is said."""
    lines = []
    for phone, visit in (rows.booking_of(row).known or {}).items():
        assumed = f" ({gettext('assumed: the booking is older than we know')})"
        lines.append(
            f"{_shown(phone, phones)}: {_when(row, visit)}{assumed if phone == row.assumed_phone else ''}"
        )
    return _lines(lines)


def _said(row: RecordState, *, phones: bool) -> str:
    """The messages whose end was not known when YClients last spoke of the booking, a link each."""
    notices = rows.booking_of(row).notices
    messages = Message.objects.only("status").in_bulk([one.message for one in notices])
    lines = []
    for one in notices:
        words = f"{one.kind.label}, {_shown(one.phone, phones)}: {_when(row, one.visit)}"
        message = messages.get(one.message)
        if message is None:
            lines.append(words)
        else:
            lines.append(support.link(message, f"{words}, {message.get_status_display()}"))
    return _lines(lines)


def _lines(lines: list[str]) -> str:
    return format_html_join(SafeString("<br>"), "{}", ((line,) for line in lines)) or support.NOTHING


def _shown(phone: str, in_full: bool) -> str:
    return phone if in_full else mask_phone(phone)


def _when(row: RecordState, visit: Visit) -> str:
    return f"{visit.starts_at.astimezone(wording.clock_of(row.company)):%d.%m.%Y %H:%M}"
