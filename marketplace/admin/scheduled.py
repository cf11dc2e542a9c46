"""Work by the clock, for support staff: when each kind is due next, and what its last round did."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.support import ReadMostlyAdmin
from marketplace.admin.waiting import WaitingFilter
from marketplace.models import Listing, ScheduledTask


@admin.register(ScheduledTask)
class ScheduledTaskAdmin(ReadMostlyAdmin):
    """What is old is removed once a day, messages are counted once a minute."""

    list_display = ("word", "next_time", "finished")
    list_filter = (WaitingFilter,)
    ordering = ("name",)
    fieldsets = [(None, {"fields": ["word", "next_time", "began", "finished", "last_report"]})]

    word = support.plain_column("name", _("name"))
    next_time = support.moment_column("next_at", _("next round"))
    began = support.moment_column("started_at", _("began"))
    finished = support.moment_column("finished_at", _("ended"))

    @admin.display(description=_("what the last complete round has done"))
    def last_report(self, task: ScheduledTask) -> str:
        return support.json_block(task.report, phones=False)


@admin.register(Listing)
class ListingAdmin(ReadMostlyAdmin):
    """The passes through YClients' list of the salons that use us."""

    list_display = ("word", "page", "seen", "next_time", "finished")
    list_filter = (WaitingFilter,)
    fieldsets = [(None, {"fields": ["word", "page", "seen", "next_time", "began", "finished", "error"]})]

    word = support.plain_column("name", _("name"))
    page = support.plain_column("page", _("page of the list"))
    seen = support.plain_column("listed", _("salons seen in this pass"))
    next_time = support.moment_column("next_at", _("next page"))
    began = support.moment_column("began_at", _("began"))
    finished = support.moment_column("finished_at", _("ended"))
    error = support.block_field("last_error", _("last error"))
