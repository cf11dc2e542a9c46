"""What is to be done about each trouble of a session's link, and which trouble an engine's event means."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from whatsapp.engine.events import BREAKS_AGAIN
from whatsapp.models.troubles import Trouble

# What support staff can do or say; troubles that pass by themselves say so.
ADVICE: dict[str, Promise] = {
    Trouble.NETWORK: _("Nothing to do: it connects again by itself, with pauses of up to five minutes."),
    Trouble.SERVER: _("Nothing to do: WhatsApp is asked again with pauses of up to five minutes."),
    Trouble.SILENT: _("Nothing to do: the line is closed and opened again if it stays silent."),
    Trouble.UNSTABLE: _(
        "It is tried again with growing pauses. If it lasts for hours, look at the network of the pool's "
        "machine, then unlink the device and let the salon link it anew."
    ),
    Trouble.HOST: _("Nothing to do: its sessions start again in another process. The log says why it ended."),
    Trouble.REPLACED: _(
        "We do not fight for the device. Ask the salon which other program uses it; when that is closed, "
        "restart the session here, or the owner presses “Use it here again” on the page."
    ),
    Trouble.BANNED: _(
        "We connect again when the time is over, not earlier. Look at what the number sent; tell the salon "
        "that clients can be written to from the phone only when WhatsApp allows it."
    ),
    Trouble.OUTDATED: _(
        "Tell the operators: the WhatsApp library must be updated; then restart the session."
    ),
    Trouble.REFUSED: _(
        "Read the last error, then restart the session; if it fails again, link the device anew."
    ),
    Trouble.CREDENTIALS: _(
        "If an encryption key is missing, tell the operators to put it back and restart the session. "
        "Otherwise unlink the device, and the owner links the phone anew."
    ),
    Trouble.LOGGED_OUT: _("The owner opens the page from YClients and links the phone anew."),
    Trouble.PHONE_GONE: _(
        "WhatsApp drops linked devices when the phone was off line for about two weeks, or when WhatsApp was "
        "removed from it or moved to another phone. The owner links the phone that has the number now."
    ),
    Trouble.DIED_EARLY: _(
        "WhatsApp removed the device within its first minute. The owner updates WhatsApp on the phone, keeps "
        "it open and on line, and links once more."
    ),
    Trouble.UNLINKED: _("The owner opens the page from YClients and links the phone anew."),
}

_PHONE_GONE_REASONS = ("main_device_gone",)


def of_logout(reason: str, *, early: bool) -> Trouble:
    """The trouble of an engine's LoggedOut; `early` when the link had not yet stood for a minute."""
    if reason in _PHONE_GONE_REASONS:
        return Trouble.PHONE_GONE
    return Trouble.DIED_EARLY if early else Trouble.LOGGED_OUT


def of_failure(reason: str) -> Trouble:
    """The trouble of an engine's ConnectFailed that may pass."""
    if reason.startswith("engine host"):
        return Trouble.HOST
    if reason.startswith(BREAKS_AGAIN):
        return Trouble.UNSTABLE
    return Trouble.SERVER if reason.startswith("WhatsApp refused the login") else Trouble.NETWORK
