"""What support staff can do to a session."""

from django.utils.translation import gettext_lazy as _

from config.shared.operations import Operation
from config.shared.support import Text
from whatsapp.models import Session, StoredCredentials
from whatsapp.sessions import services

NO_DEVICE = _("No device is linked. The salon links one on its page, which it opens from the marketplace.")


def _why_not_restart(session: Session) -> Text:
    if session.wanted == Session.Wanted.UNLINKED:
        return _("The device is being unlinked.")
    if not session.is_linked:
        return NO_DEVICE
    if session.wanted == Session.Wanted.STOPPED:
        return _("The session is stopped on purpose. Resume it instead.")
    if session.status == Session.Status.BANNED:
        return _("WhatsApp restricted the number; connecting before the time is over makes it longer.")
    return ""


def _why_not_stop(session: Session) -> Text:
    if session.wanted == Session.Wanted.UNLINKED:
        return _("The device is being unlinked.")
    if session.wanted == Session.Wanted.STOPPED:
        return _("The session is stopped already.")
    return ""


def _why_not_resume(session: Session) -> Text:
    if session.wanted != Session.Wanted.STOPPED:
        return _("The session is not stopped.")
    return "" if session.is_linked else NO_DEVICE


def _why_not_unlink(session: Session) -> Text:
    if session.wanted == Session.Wanted.UNLINKED:
        return _("The device is being unlinked.")
    kept = StoredCredentials.objects.filter(session=session).exists()
    return "" if session.is_linked or kept else _("No device is linked.")


RESTART = Operation(
    name="restart",
    label=_("Restart session"),
    consequence=_(
        "The connection to WhatsApp is closed and opened again at once. The device stays linked, nobody has "
        "to scan anything, and messages that wait are sent when the connection is back."
    ),
    perform=lambda session, cause: services.restart(session=session, reason=cause),
    refusal=_why_not_restart,
)
STOP = Operation(
    name="stop",
    label=_("Stop session"),
    consequence=_(
        "The connection to WhatsApp is closed and stays closed until somebody resumes it. Nothing is sent "
        "from the salon's number meanwhile. The device stays linked."
    ),
    perform=lambda session, cause: services.stop(session=session, reason=cause),
    refusal=_why_not_stop,
)
RESUME = Operation(
    name="resume",
    label=_("Resume session"),
    consequence=_(
        "The stopped session connects to WhatsApp again and sends again. Nobody has to scan anything."
    ),
    perform=lambda session, cause: services.resume(session=session, reason=cause),
    refusal=_why_not_resume,
)
UNLINK = Operation(
    name="unlink",
    label=_("Unlink device"),
    consequence=_(
        "Our device is removed from the linked devices of the salon's phone, and its keys are destroyed. "
        "This cannot be undone: nothing is sent from this number until the salon opens its page from the "
        "marketplace and scans a new QR code."
    ),
    perform=lambda session, cause: services.unlink(session=session, reason=cause),
    refusal=_why_not_unlink,
    destructive=True,
)
