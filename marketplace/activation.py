"""Activation: YClients is told that a salon's WhatsApp works, and is given the salon's API key."""

from dataclasses import dataclass, field
from typing import Any

from marketplace.models import Company

WAIT_FOR_OTHER = 10.0  # seconds that a page's call waits for an activation that already runs


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
    """YClients said no; the salon is `activation_failed` and the key withdrawn."""


class ActivationUnfinished(ActivationError):
    """YClients did not answer clearly; the worker goes on with the same key."""


@dataclass(frozen=True, slots=True)
class ActivationResult:
    """An active salon. `yclients_response` says how we know: an HTTP status, or the state asked for."""

    company: Company
    redirect_url: str
    yclients_response: dict[str, Any] = field(default_factory=dict)


def activate(*, company: Company, cause: str, wait: float = WAIT_FOR_OTHER) -> ActivationResult:
    """Activate the salon once, whoever asks and however often.

    `cause` goes into the event ("page", "worker", …); `wait` is in seconds. An active salon is answered
    at once. Raises the errors above.
    """
    raise ActivationUnfinished("")
