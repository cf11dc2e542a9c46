"""What is kept with an event, in words, for support's list; the event's own page shows it as it is kept."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as say
from django.utils.translation import gettext_lazy as _

from config.shared.masking import mask_data
from config.shared.support import Text
from marketplace.models import Company
from whatsapp.models import Session

NAMES: dict[str, Text] = {
    "by": _("by"), "user_id": _("user"), "given_to": _("given to"), "changed_hands": _("changed hands"),
    "status_before": _("was"), "signed": _("signed"), "salons": _("salons"), "yclients": _("YClients"),
    "asked_for_salon": _("asked for salon"), "old_until": _("old one works until"), "session": _("session"),
    "session_status": _("WhatsApp"), "told": _("told"), "what": _("what"), "message": _("message"),
    "copy": _("copy"), "days": _("days"), "changes": _("changes"), "kind": _("kind"), "phone": _("phone"),
    "scope": _("scope"), "way": _("way"), "reason": _("reason"), "unlinked": _("unlinked"),
    "approved_by": _("approved by"), "host_before": _("host before"), "host_after": _("host after"),
    "payment": _("payment"), "sum": _("sum"), "known_by": _("known by"), "http_status": _("HTTP status"),
    "yclients_id": _("number in YClients"), "yclients_message": _("YClients says"),
}  # fmt: skip
VALUES: dict[str, Text] = {
    "cabinet": _("the cabinet"), "phone": _("the phone"), "worker": _("the worker"),
    "command": _("a command"), "operator": _("an operator"), "page": _("the page"),
    "reconciliation": _("the reconciliation"),
    "registration": _("the registration"), "registration check": _("the registration check"),
    "support": _("support"), "yclients status": _("status in YClients"),
    "yclients webhook": _("webhook of YClients"), "yclients": _("YClients"), "answer": _("the answer"),
    "list of payments": _("the list of payments"), "salon's WhatsApp": _("the salon's WhatsApp"),
    "one-time link": _("one-time link"), "e-mail": _("e-mail"), "given": _("given"),
    "removed": _("address removed"), "confirmed": _("confirmed"),
    **dict(Company.Status.choices), **dict(Session.Status.choices),
}  # fmt: skip
LONGEST = 120  # characters


def line(data: Mapping[str, Any]) -> str:
    """The data of an event in one line, secrets hidden and phones masked; what has no word stays."""
    shown = mask_data(data, phones=False).items()
    return ", ".join(f"{NAMES.get(key, key)}: {_value(value)}" for key, value in shown)[:LONGEST]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return str(VALUES.get(value, value)) if isinstance(value, str) else str(value)
