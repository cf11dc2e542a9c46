"""Why a salon is, or is not, connected, in one sentence with what to do, for support staff."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketplace.models import Company
from whatsapp.models import Session
from whatsapp.sessions.troubles import ADVICE

Status = Company.Status

OF_STATUS = {
    Status.UNINSTALLED: gettext_lazy(
        "The application was removed from this salon. The owner connects it again in the marketplace."
    ),
    Status.FROZEN: gettext_lazy("YClients has suspended the application until the salon pays for it."),
    Status.ACTIVATING: gettext_lazy("The activation is running; it ends by itself within minutes."),
}
OF_SESSION = {
    Session.Status.IDLE: gettext_lazy(
        "Nobody has asked for a code yet: the owner opens the page and links it."
    ),
    Session.Status.STARTING: gettext_lazy("A code is being fetched for the open page."),
    Session.Status.QR: gettext_lazy("The page shows a QR code; the owner has not scanned it yet."),
    Session.Status.PAIRING_CODE: gettext_lazy("The page shows a pairing code; it was not typed yet."),
    Session.Status.CONNECTING: gettext_lazy("The phone has answered; the link is being finished."),
    Session.Status.CONNECTED: gettext_lazy("WhatsApp is connected and messages go out."),
}


def explain(company: Company, *, pool_running: bool) -> tuple[str, str]:
    """The tone (good, busy, waiting, bad or off) and the sentence. Reads only the company's session."""
    status, session = Status(company.status), company.session
    if company.disputed_at is not None:
        return "bad", _("Two users came for this salon; decide under “access requests” to whom it belongs.")
    if status in OF_STATUS:
        return ("off" if status == Status.UNINSTALLED else "waiting"), str(OF_STATUS[status])
    if status == Status.ACTIVATION_FAILED:
        return "bad", _("The activation failed: %(reason)s") % {"reason": _(company.activation_error or "-")}
    if session is None:
        return "waiting", str(OF_SESSION[Session.Status.IDLE])
    if session.is_linked and session.wanted == Session.Wanted.STOPPED:
        return "waiting", _("Support has stopped the session; resume it when the reason is gone.")
    if not pool_running:
        return "bad", _("No session pool is running: tell the operators.")
    if session.is_connected and session.sending_paused:
        if company.held_at is not None:
            return "waiting", _("Support has paused sending.")
        by_owner = company.paused_at is not None
        return "waiting", _("The owner has paused sending.") if by_owner else _("Sending is paused.")
    return _of_session(session)


def _of_session(session: Session) -> tuple[str, str]:
    status = Session.Status(session.status)
    if status in OF_SESSION and not (session.trouble and not session.is_connected):
        tone = "good" if status == Session.Status.CONNECTED else "busy"
        return tone, str(OF_SESSION[status])
    word = session.get_trouble_display() if session.trouble else session.get_status_display()
    return "bad", f"{word}. {ADVICE.get(session.trouble, '')}".strip()
