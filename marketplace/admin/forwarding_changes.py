"""Changes of forwarding addresses: the history with both hosts, and the second person's word."""

from django.contrib import admin
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.operations import OperableAdmin, Operation, Refused
from config.shared.support import Text
from marketplace.admin.sessions import COMPANY_SECRETS, salon_name
from marketplace.inbound import forwarding_changes
from marketplace.models.forwarding import ForwardingChange

CHANGE_TONES = {"waiting": "waiting", "applied": "good", "rejected": "bad", "replaced": "off"}


def _approve(change: ForwardingChange, cause: str) -> None:
    try:
        forwarding_changes.approve(change=change, by=cause)
    except forwarding_changes.SamePerson as error:
        raise Refused(gettext("Another member of staff has to approve it.")) from error
    except forwarding_changes.Decided as error:
        raise Refused(gettext("It is decided already.")) from error


def _reject(change: ForwardingChange, cause: str) -> None:
    try:
        forwarding_changes.reject(change=change, by=cause)
    except forwarding_changes.Decided as error:
        raise Refused(gettext("It is decided already.")) from error


def _why_not(change: ForwardingChange) -> Text:
    return "" if change.state == ForwardingChange.State.WAITING else _("It is decided already.")


APPROVE = Operation(
    name="approve",
    label=_("Approve the new address"),
    consequence=_(
        "From now on everything that the salon's clients write goes to the new address. The salon is told "
        "on its own WhatsApp."
    ),
    perform=_approve,
    refusal=_why_not,
    destructive=True,
)
REJECT = Operation(
    name="reject",
    label=_("Reject the new address"),
    consequence=_("The address stays as it is."),
    perform=_reject,
    refusal=_why_not,
)


@admin.register(ForwardingChange)
class ForwardingChangeAdmin(OperableAdmin):
    """Who changed which salon's address, from which host to which."""

    hidden = (
        "url",
        "forwarding__url",
        "forwarding__secret",
        *(f"forwarding__company__{name}" for name in COMPANY_SECRETS),
    )
    operations = (APPROVE, REJECT)
    list_display = ("requested", "salon_link", "state_word", "before", "after", "by", "approved")
    list_filter = (("state", support.titled(_("State"))),)
    list_select_related = ("forwarding__company",)
    search_fields = ("=forwarding__company__salon_id", "forwarding__company__title", "host_after")
    fieldsets = [
        (
            None,
            {"fields": [
                "salon_link", "state_word", "before", "after", "by", "requested", "approved", "decided"
            ]},
        ),
    ]  # fmt: skip

    state_word = support.state_column("state", _("state"), CHANGE_TONES)
    before = support.plain_column("host_before", _("host before"))
    after = support.plain_column("host_after", _("host after"))
    by = support.plain_column("requested_by", _("asked for by"))
    approved = support.plain_column("decided_by", _("decided by"))
    requested = support.moment_column("requested_at", _("time"))
    decided = support.moment_column("decided_at", _("decided"))

    @admin.display(description=_("salon"), ordering="forwarding__company__title")
    def salon_link(self, row: ForwardingChange) -> str:
        return support.link(row.forwarding, salon_name(row.forwarding.company))

    def describe(self, row: ForwardingChange) -> str:
        return f"{salon_name(row.forwarding.company)}: {row}"
