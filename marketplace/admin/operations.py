"""What support staff can do to a salon's activation and to a webhook; workers then do the calls."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared.operations import Operation, Refused
from config.shared.support import Text
from marketplace.models import Company, InboundWebhook
from marketplace.salons import activation, lifecycle
from marketplace.webhooks import processing


def _retry(company: Company, cause: str) -> None:
    try:
        activation.request_retry(company=company, cause=cause)
    except activation.NotAwaiting as error:
        raise Refused(gettext(error.message)) from error


def _replay(webhook: InboundWebhook, _cause: str) -> None:
    processing.replay(webhook=webhook)


def _remove(company: Company, cause: str) -> None:
    current = lifecycle.locked(company.salon_id)
    if current is None or not lifecycle.request_removal(current, by=cause):
        raise Refused(gettext("The salon is uninstalled already."))


def _why_not_remove(company: Company) -> Text:
    return _("The salon is uninstalled already.") if company.status == Company.Status.UNINSTALLED else ""


def _why_not_retry(company: Company) -> Text:
    if company.status == Company.Status.ACTIVE:
        return _("The salon is active already.")
    if company.status in (Company.Status.FROZEN, Company.Status.UNINSTALLED):
        return _("The salon has frozen or removed the application in YClients; only YClients changes that.")
    if company.session is None or not company.session.is_connected:
        return _("WhatsApp is not connected. The activation starts by itself when it is.")
    return ""


def _why_not_replay(webhook: InboundWebhook) -> Text:
    if webhook.state == InboundWebhook.State.APPLIED:
        return _("The webhook has had its effect.")
    return ""


def _hold(company: Company, cause: str) -> None:
    if not lifecycle.hold_sending(company, by=cause):
        raise Refused(gettext("Support has paused sending already."))


def _release(company: Company, cause: str) -> None:
    if not lifecycle.release_sending(company, by=cause):
        raise Refused(gettext("Support has not paused sending."))


def _why_not_hold(company: Company) -> Text:
    if company.session is None:
        return _("The salon has no WhatsApp.")
    return _("Support has paused sending already.") if company.held_at is not None else ""


def _why_not_release(company: Company) -> Text:
    held = company.session is not None and company.session.companies.filter(held_at__isnull=False).exists()
    return "" if held else _("Support has not paused sending.")


HOLD_SENDING = Operation(
    name="hold-sending",
    label=_("Pause sending"),
    consequence=_(
        "All messages of the salon's number wait; what clients write still arrives. The owner sees that "
        "support has paused sending, and cannot resume it."
    ),
    perform=_hold,
    refusal=_why_not_hold,
)
RELEASE_SENDING = Operation(
    name="release-sending",
    label=_("Let sending go on"),
    consequence=_(
        "Support's pause ends for all salons on the number. A pause of the owner's stays, and so does that "
        "of salons that are not paid for."
    ),
    perform=_release,
    refusal=_why_not_release,
)
RETRY_ACTIVATION = Operation(
    name="retry-activation",
    label=_("Retry activation"),
    consequence=_(
        "A worker asks YClients within seconds what it knows of the salon and activates it if needed. "
        "A salon gets one API key only, however often this is asked for."
    ),
    perform=_retry,
    refusal=_why_not_retry,
)
REMOVE = Operation(
    name="remove",
    label=_("Remove the application from the salon"),
    consequence=_(
        "Sending stops at once, and a worker has YClients remove the application from the salon. Then the "
        "device is unlinked and all keys are destroyed. Only the salon's owner can install it again."
    ),
    perform=_remove,
    refusal=_why_not_remove,
    destructive=True,
)
REPLAY_WEBHOOK = Operation(
    name="replay",
    label=_("Replay webhook"),
    consequence=_(
        "A worker applies the webhook again within seconds, as if it had just arrived. An uninstall freezes "
        "the salon, and unlinks its device and destroys its keys as soon as YClients agrees."
    ),
    perform=_replay,
    refusal=_why_not_replay,
)
