"""Messages on their way to salons' own addresses, for support staff: how far each is, and another try."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.operations import OperableAdmin, Operation
from config.shared.support import Text
from marketplace.admin.sessions import COMPANY_SECRETS, salon_name
from marketplace.admin.waiting import WaitingFilter
from marketplace.inbound import forwarding
from marketplace.models.forwarding import ForwardedMessage

FORWARDED_TONES = {"due": "busy", "delivered": "good", "dead": "bad"}


def _replay(row: ForwardedMessage, cause: str) -> None:
    forwarding.replay(forwarded=row, by=cause)


def _why_not_replay(row: ForwardedMessage) -> Text:
    if row.state != ForwardedMessage.State.DEAD:
        return _("It was not given up.")
    if row.text_is_gone:
        return _("Its text was removed, as its time was over.")
    return "" if row.forwarding.enabled else _("The forwarding is switched off.")


REPLAY = Operation(
    name="replay",
    label=_("Forward again"),
    consequence=_(
        "A worker posts the message to the salon's address within seconds, and tries for another day if it "
        "is not taken. The receiver knows a repeat by its delivery id."
    ),
    perform=_replay,
    refusal=_why_not_replay,
)


@admin.register(ForwardedMessage)
class ForwardedMessageAdmin(OperableAdmin):
    """Messages on their way to salons' addresses."""

    hidden = (
        "forwarding__url",
        "forwarding__secret",
        "message__callback_url",
        *(f"forwarding__company__{name}" for name in COMPANY_SECRETS),
    )
    operations = (REPLAY,)
    list_display = ("created", "salon_link", "event_word", "state_word", "tries", "error", "message_link")
    list_filter = (
        ("state", support.titled(_("State"))),
        ("created_at", support.titled(_("Time"), admin.DateFieldListFilter)),
        WaitingFilter,
    )
    list_select_related = ("forwarding__company", "message")
    search_fields = ("=forwarding__company__salon_id", "forwarding__company__title", "=delivery_id")
    fieldsets = [
        (None, {"fields": ["salon_link", "event_word", "message_link", "delivery"]}),
        (_("Delivery"), {"fields": ["state_word", "created", "delivered"]}),
        (_("Attempts"), {"fields": ["tries", "next_attempt", "error"]}),
    ]

    delivery = support.plain_column("delivery_id", _("delivery id"))
    event_word = support.state_column("event", _("event"), {})
    state_word = support.state_column("state", _("state"), FORWARDED_TONES)
    tries = support.plain_column("attempts", _("attempts"))
    created = support.moment_column("created_at", _("time"))
    delivered = support.moment_column("delivered_at", _("delivered"))
    next_attempt = support.moment_column("next_attempt_at", _("next attempt"))
    error = support.plain_column("last_error", _("last error"))

    @admin.display(description=_("salon"), ordering="forwarding__company__title")
    def salon_link(self, row: ForwardedMessage) -> str:
        return support.link(row.forwarding, salon_name(row.forwarding.company))

    @admin.display(description=_("message"))
    def message_link(self, row: ForwardedMessage) -> str:
        return support.link(row.message, f"#{row.message_id}") if row.message else support.NOTHING

    def describe(self, row: ForwardedMessage) -> str:
        what = f"#{row.message_id}" if row.message_id else row.get_event_display()
        return f"{salon_name(row.forwarding.company)}, {what}"
