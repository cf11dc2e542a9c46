"""Why a salon is, or is not, connected, in one sentence with what to do, for support staff."""

from dataclasses import dataclass, field

from django.db.models import Model
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.shared.clocks import clock_time
from config.shared.operations import Operation
from marketplace.admin.comparison import COMPARE
from marketplace.admin.operations import RELEASE_SENDING, RETRY_ACTIVATION
from marketplace.models import AccessRequest, Company
from marketplace.salons import clock
from whatsapp.admin.session_operations import RESTART, RESUME, UNLINK
from whatsapp.models import Message, Pool, Session, Trouble
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
# What the advice on a trouble (whatsapp/sessions/troubles.py) asks support to do.
MENDS: dict[str, tuple[Operation, ...]] = {
    Trouble.UNSTABLE: (UNLINK,),
    Trouble.REPLACED: (RESTART,),
    Trouble.OUTDATED: (RESTART,),
    Trouble.REFUSED: (RESTART, UNLINK),
    Trouble.CREDENTIALS: (RESTART, UNLINK),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The tone (good, busy, waiting, bad or off), the sentence, and what mends it.

    `operations` are of the salon or, `on_session`, of its session; `look_at` are lists that say more.
    """

    tone: str
    text: str
    operations: tuple[Operation, ...] = ()
    on_session: tuple[Operation, ...] = ()
    look_at: tuple[type[Model], ...] = field(default=())


def explain(company: Company, *, pool_running: bool) -> Finding:
    """What is found of a salon. Reads only the company's session."""
    status, session = Status(company.status), company.session
    if company.disputed_at is not None:
        text = _("Two users came for this salon; decide under “access requests” to whom it belongs.")
        return Finding("bad", text, look_at=(AccessRequest,))
    if status in OF_STATUS:
        tone = "off" if status == Status.UNINSTALLED else "waiting"
        return Finding(tone, str(OF_STATUS[status]), () if status == Status.ACTIVATING else (COMPARE,))
    if status == Status.ACTIVATION_FAILED:
        text = _("The activation failed: %(reason)s") % {"reason": _(company.activation_error or "-")}
        return Finding("bad", text, (RETRY_ACTIVATION, COMPARE))
    if session is None:
        return Finding("waiting", str(OF_SESSION[Session.Status.IDLE]))
    if session.is_linked and session.wanted == Session.Wanted.STOPPED:
        text = _("Support has stopped the session; resume it when the reason is gone.")
        return Finding("waiting", text, on_session=(RESUME,))
    if not pool_running:
        return Finding("bad", _("No session pool is running: tell the operators."), look_at=(Pool,))
    if session.is_connected and session.sending_paused:
        if company.held_at is not None:
            return Finding("waiting", _("Support has paused sending."), (RELEASE_SENDING,))
        by_owner = company.paused_at is not None
        return Finding("waiting", _("The owner has paused sending.") if by_owner else _("Sending is paused."))
    return _of_session(company, session)


def _of_session(company: Company, session: Session) -> Finding:
    status = Session.Status(session.status)
    if status in OF_SESSION and not (session.trouble and not session.is_connected):
        tone = "good" if status == Session.Status.CONNECTED else "busy"
        return Finding(tone, str(OF_SESSION[status]))
    word = session.get_trouble_display() if session.trouble else session.get_status_display()
    text = f"{word}. {ADVICE.get(session.trouble, '')}".strip()
    if status == Session.Status.BANNED and session.banned_until is not None:
        until = clock_time(session.banned_until, clock.zone_of(company))
        text = f"{text} {_('The time is over at %(until)s.') % {'until': until}}"
    look_at = (Message,) if session.trouble == Trouble.BANNED else ()
    return Finding("bad", text, on_session=MENDS.get(session.trouble, ()), look_at=look_at)
