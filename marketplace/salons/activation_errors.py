"""Why a salon was not activated: exceptions for callers, sentences for people.

The sentences are English msgids: they are kept so in `Company.activation_error`, and whoever shows one passes
it through gettext, because the person's language is known only there.
"""

from django.utils.translation import gettext_noop as _

NOT_CONNECTED = _("WhatsApp is not connected yet. Scan the code with your phone first.")
RUNNING = _("The integration is being activated right now. Please wait a little.")
NOT_AWAITING = _("This salon is not being connected. Open the application in the YClients marketplace again.")
DISPUTED = _(
    "Two YClients users have come for this salon, so nobody can link its WhatsApp now. "
    "Write to support: they find out to whom it belongs."
)
NOT_INSTALLING = _(
    "YClients says that the application is not being installed in this salon any more. "
    "Press Connect in the marketplace again."
)
FOREIGN_KEY = _(
    "YClients says that this salon is already connected with another key. "
    "Remove the application in YClients and connect it again."
)
REFUSED = _("YClients refused the activation. Press Connect in the marketplace again or write to support.")
UNCLEAR = _("YClients has not answered yet. We keep trying, nothing needs to be done.")
GAVE_UP = _("YClients did not answer for many hours. Press Connect in the marketplace again.")


class ActivationError(Exception):
    """The salon was not activated; `message` is an English msgid for a person: pass it through gettext."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotConnected(ActivationError):
    """The salon's WhatsApp is not connected."""


class AlreadyRunning(ActivationError):
    """Another activation of this salon runs and did not end while we waited."""


class NotAwaiting(ActivationError):
    """The salon is frozen or uninstalled: there is nothing to activate."""


class ActivationRefused(ActivationError):
    """YClients said no; the salon is `activation_failed`."""


class ActivationUnfinished(ActivationError):
    """YClients did not answer clearly; the worker goes on with the same key."""
