"""E-mails to a salon: its WhatsApp is disconnected, and it is back.

Which of them is due follows from the session's row and from what was sent before, as with YClients' channel
(`sync.channels`, whose rules of "down for good" and "back and stable" hold here too): one e-mail an outage.
An e-mail that the server took while we died before writing it down is sent twice, never lost.
"""

from datetime import datetime, timedelta

import structlog
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from config.shared.queue import Queue
from marketplace.alerts import emails
from marketplace.models import Company, MarketplaceEvent, OutageAlert
from marketplace.sync import channels

log = structlog.get_logger("marketplace")

CONFIRMATION_LASTS = timedelta(days=3)
ALERTS = Queue(
    name="outage e-mails",
    model=OutageAlert,
    due_at="next_at",
    null_is_due=True,
    lease=timedelta(minutes=2),  # longer than a mail server may take
    first=60.0,
)
Event = MarketplaceEvent.Type


def ready() -> QuerySet[Company]:
    """The companies of whose alert an e-mail is to be sent now."""
    now = timezone.now()
    may_go = Q(outage_alert__next_at__isnull=True) | Q(outage_alert__next_at__lte=now)
    return _unannounced().filter(may_go).order_by("outage_alert__pk")


def due(*, limit: int) -> list[int]:
    """Return ids of alerts of which an e-mail is to be sent."""
    return list(ready().values_list("outage_alert__pk", flat=True)[:limit])


def send(alert_id: int) -> None:
    """Send the one e-mail that is due. Raises OSError when the mail server could not be asked or refused."""
    alert = ALERTS.claim(alert_id)
    if alert is None:
        return
    company = _unannounced().filter(pk=alert.company_id).first()
    if company is None:  # settled meanwhile
        ALERTS.finish(alert, next_at=None, attempts=0)
        return
    changes: dict[str, datetime | None] = {}
    try:
        if alert.confirmed_at is None:
            emails.send_confirmation(alert, company)
            changes["asked_at"] = timezone.now()
        elif alert.outage_sent_at is None:
            emails.send_outage(alert, company)
            changes["outage_sent_at"] = timezone.now()
        else:
            emails.send_recovery(alert, company)
            changes["outage_sent_at"] = None
    except OSError as error:  # smtplib's errors are OSErrors
        ALERTS.retry(alert, error=f"{type(error).__name__}: {error}")
        raise
    ALERTS.finish(alert, next_at=None, attempts=0, **changes)
    log.info("outage e-mail sent", salon_id=company.salon_id, what=next(iter(changes)))


def _unannounced() -> QuerySet[Company]:
    """Companies whose alert waits: for its confirmation to be requested, or for an outage or its end."""
    now = timezone.now()
    confirmed = Q(outage_alert__confirmed_at__isnull=False, status=Company.Status.ACTIVE)
    calm = Q(outage_alert__outage_sent_at__isnull=True)
    # Who has unlinked the phone himself, and not linked one since, knows it.
    own_doing = Q(unlinked_at__isnull=False) & (
        Q(session__connected_at__isnull=True) | Q(session__connected_at__lte=F("unlinked_at"))
    )
    return (
        Company.objects.defer(*Company.SECRETS)
        .filter(outage_alert__isnull=False)
        .filter(
            Q(outage_alert__confirmed_at__isnull=True, outage_alert__asked_at__isnull=True)
            | confirmed & calm & channels.is_down(now) & ~own_doing
            | confirmed & ~calm & channels.is_back(now)
        )
    )


def set_address(company: Company, email: str, *, language: str, by: str) -> None:
    """Take a new address; a worker asks its owner to confirm it. The same address changes nothing."""
    known = OutageAlert.objects.filter(company=company).first()
    if known is not None and known.email == email:
        return
    OutageAlert.objects.update_or_create(
        company=company,
        defaults={
            "email": email,
            "language": language,
            "asked_at": None,
            "confirmed_at": None,
            "outage_sent_at": None,
            "next_at": None,
            "attempts": 0,
            "last_error": "",
        },
    )
    company.note(Event.OUTAGE_EMAIL_CHANGED, by=by, what="given")


def ask_again(company: Company) -> None:
    """Send the request to confirm once more."""
    waiting = OutageAlert.objects.filter(company=company, confirmed_at__isnull=True, asked_at__isnull=False)
    ALERTS.replay(waiting, asked_at=None)


def remove(company: Company, *, by: str) -> None:
    """Forget the address."""
    if OutageAlert.objects.filter(company=company).delete()[0]:
        company.note(Event.OUTAGE_EMAIL_CHANGED, by=by, what="removed")


def confirm(alert: OutageAlert) -> None:
    """The owner of the address agreed. An outage that is under way is announced at once."""
    changed = OutageAlert.objects.filter(pk=alert.pk, email=alert.email, confirmed_at__isnull=True).update(
        confirmed_at=timezone.now(), next_at=None, attempts=0, last_error=""
    )
    if changed:
        alert.company.note(Event.OUTAGE_EMAIL_CHANGED, by="e-mail", what="confirmed")
