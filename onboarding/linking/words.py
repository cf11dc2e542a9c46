"""What the page says about each state and each failure: whole sentences with a next step."""

from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.shared.clocks import clock_time
from marketplace.models import Company, RegistrationCheck
from whatsapp.models import Session, Trouble
from whatsapp.sessions.services import Snapshot

Status = Session.Status

# The state of WhatsApp alone; what needs a look at other fields is in `of_session`.
STATES = {
    Status.IDLE: gettext_lazy("Getting ready to link WhatsApp."),
    Status.STARTING: gettext_lazy("Preparing a code. It takes a few seconds."),
    Status.QR: gettext_lazy("Scan the code with WhatsApp on the salon's phone."),
    Status.PAIRING_CODE: gettext_lazy("Type the code in WhatsApp on the salon's phone."),
    Status.CONNECTING: gettext_lazy(
        "The phone has answered, the link is being finished. Keep WhatsApp open on the phone."
    ),
    Status.CONNECTED: gettext_lazy("WhatsApp is linked."),
    Status.RECONNECTING: gettext_lazy(
        "The line to WhatsApp was interrupted and is being restored. You need not do anything."
    ),
    Status.CONFLICT: gettext_lazy(
        "Another program has taken over this linked device, so we stopped. "
        "Close it there, then press “Use it here again”."
    ),
    Status.LOGGED_OUT: gettext_lazy("The link was removed on the phone. Get a new code to link it again."),
    Status.FAILED: gettext_lazy("Could not connect to WhatsApp. Press “Connect again” to try once more."),
}

# Why a line that is being restored, or that failed, is not up; other reasons need no words of their own.
RESTORING = {
    Trouble.SERVER: gettext_lazy(
        "WhatsApp does not let us in at the moment. We keep trying, you need not do anything."
    ),
    Trouble.UNSTABLE: gettext_lazy(
        "The line to WhatsApp breaks again and again. We try again with growing pauses. If it lasts for an "
        "hour, remove our device on the phone under “Linked devices” and link it anew."
    ),
}
FAILURES = {
    Trouble.OUTDATED: gettext_lazy(
        "WhatsApp has changed, and our program must be updated first. We know about it, you need not do "
        "anything."
    ),
    Trouble.CREDENTIALS: gettext_lazy(
        "We cannot read the keys of this link. Write to support: they restore them or let you link anew."
    ),
}
# Why a link is gone, above the code for a new one.
LOST_LINKS = {
    Trouble.LOGGED_OUT: gettext_lazy("The link was removed on the phone. Link it again here."),
    Trouble.PHONE_GONE: gettext_lazy(
        "WhatsApp ended the link, because the phone was off line for about two weeks, or WhatsApp was "
        "removed from it. Check that WhatsApp works on the phone, then link it again here."
    ),
    Trouble.DIED_EARLY: gettext_lazy(
        "The link broke right after it was made: WhatsApp removed our device. Update WhatsApp on the phone, "
        "keep it open and on line, and link it once more."
    ),
    Trouble.CREDENTIALS: gettext_lazy("The keys of the last link are lost. Link the phone again here."),
    Trouble.UNLINKED: gettext_lazy("Our device was removed from the phone. Link it again here."),
}

# Machine words of `code` in our JSON errors, in live-channel errors and in a session's `pairing_error`.
PROBLEMS = {
    "invalid_token": gettext_lazy("The token is not valid any more. Open the page from YClients again."),
    "no_power": gettext_lazy(
        "This salon is not connecting the application any more. Start from YClients again."
    ),
    "not_found": gettext_lazy("There is nothing at this address."),
    "method_not_allowed": gettext_lazy("This address does not take such requests."),
    "unsupported_media_type": gettext_lazy("Send the body as application/json."),
    "bad_json": gettext_lazy("The body is not a JSON object."),
    "too_large": gettext_lazy("The message is too large."),
    "bad_message": gettext_lazy("The message is not a JSON object with an event."),
    "unknown_event": gettext_lazy("There is no such event."),
    "too_many_messages": gettext_lazy("Too many messages. Wait a few seconds."),
    "disputed": gettext_lazy(
        "Two YClients users have come for this salon, so nobody can link its WhatsApp now. "
        "Write to support: they find out to whom it belongs."
    ),
    "already_linked": gettext_lazy("WhatsApp is linked already, no code is needed."),
    "too_soon": gettext_lazy("A code was asked for a moment ago. Wait a few seconds and try again."),
    "pool_unavailable": gettext_lazy(
        "The service that connects to WhatsApp is starting. Wait a little, the page goes on by itself."
    ),
    "no_code_yet": gettext_lazy("WhatsApp has not given a code yet. Try again in a few seconds."),
    "unavailable": gettext_lazy(
        "Something on our side does not answer. The page goes on by itself when it does."
    ),
    "invalid_phone": gettext_lazy(
        "This does not look like a phone number. Write it in full, with + and the country code."
    ),
    "bad_phone": gettext_lazy(
        "WhatsApp does not accept this number. "
        "Check it: it must be the number of WhatsApp on the salon's phone."
    ),
    "rate_limited": gettext_lazy(
        "WhatsApp gives no more codes for this number now. Wait some minutes, or scan the QR code."
    ),
    "not_waiting": gettext_lazy("The code could not be asked for in time. Press the button once more."),
    "failed": gettext_lazy("Linking did not succeed. Try again with a new code."),
    "not_connected": gettext_lazy("WhatsApp is not connected yet. Link the phone first."),
    "activation_running": gettext_lazy("The activation is running. The result will appear by itself."),
    "activation_refused": gettext_lazy("YClients refused the activation."),
}


def problem(code: str) -> str:
    """The sentence for a machine word; an unknown word gets the general one."""
    return str(PROBLEMS.get(code, PROBLEMS["failed"]))


def of_session(shown: Snapshot, *, zone: ZoneInfo, pool_running: bool) -> str:
    """What happens with WhatsApp now, and what the person should do; times by the salon's clock, `zone`."""
    if not pool_running and not shown.connected:
        return problem("pool_unavailable")
    if shown.status == Status.BANNED:
        if shown.banned_until is None:
            return _("WhatsApp has restricted this number for a while. Nothing can be linked until then.")
        until = clock_time(shown.banned_until, zone)
        return _("WhatsApp has restricted this number until %(until)s. We connect again after that.") % {
            "until": until
        }
    if shown.status == Status.FAILED and not shown.linked:
        return _("Could not get a code from WhatsApp. Press “New code” to try once more.")
    if shown.stopped:
        return _("Support has taken this number off line. Write to support to bring it back.")
    if shown.connected and not shown.proven:
        return _("WhatsApp is linked. Keep it open on the phone for one minute, until the link has settled.")
    return _of_trouble(shown) or str(STATES[Status(shown.status)])


def _of_trouble(shown: Snapshot) -> str:
    """Words for a linked device whose line is not up, where its trouble has some."""
    if shown.status == Status.FAILED:
        return str(FAILURES.get(Trouble(shown.trouble), "")) if shown.trouble else ""
    if shown.status != Status.RECONNECTING:
        return ""
    if shown.trouble and (words := RESTORING.get(Trouble(shown.trouble))):
        return str(words)
    if shown.proven:
        return ""
    return _(
        "The line broke right after the phone was linked and is being restored. Keep WhatsApp open on the "
        "phone."
    )


def name_support(shown: Snapshot, *, activation: str) -> bool:
    """Whether what `of_session` or `of_activation` say here asks a person to write to support."""
    lost_keys = shown.status == Status.FAILED and shown.linked and shown.trouble == Trouble.CREDENTIALS
    return shown.stopped or lost_keys or activation == "failed"


def of_branches(checks: list[RegistrationCheck]) -> str:
    """What is known of the link's further salons; empty when all of them are linked together."""
    checking = sum(check.state == RegistrationCheck.State.CHECKING for check in checks)
    refused = [check.company for check in checks if check.state == RegistrationCheck.State.REFUSED]
    said = []
    if checking:
        text = _(
            "Salons of this link that are still being checked with YClients: %(count)d. "
            "They join by themselves."
        )
        said.append(text % {"count": checking})
    if refused:
        names = ", ".join(company.title or f"№ {company.salon_id}" for company in refused[:10])
        said.append(
            _("Not connected, because YClients or the salon's owner does not allow it: %(names)s.")
            % {"names": names}
        )
    return " ".join(said)


def of_lost_link(shown: Snapshot) -> str:
    """Why the last link is gone, while none has taken its place; empty when there was none."""
    if shown.linked or not shown.trouble:
        return ""
    return str(LOST_LINKS.get(Trouble(shown.trouble), ""))


def of_activation(status: str, *, company_status: str, reason: str) -> str:
    """What happens with the activation in YClients now. `reason`: msgid of what went wrong, or empty."""
    if company_status == Company.Status.UNINSTALLED:
        return _("The application has been removed from this salon. To use it again, connect it in YClients.")
    if company_status == Company.Status.FROZEN:
        return _(
            "YClients has suspended the application for this salon. Pay for it in YClients, and it resumes."
        )
    if reason and status in ("activating", "failed"):
        return _(reason)
    return {
        "waiting": _("The activation begins by itself when WhatsApp is linked."),
        "activating": _("WhatsApp is linked. We are telling YClients about it, it takes a few seconds."),
        "active": _("Everything is ready: YClients' messages go out from the salon's own number."),
        "failed": _(
            "YClients did not accept the activation. Try again; if that does not help, write to support."
        ),
    }[status]
