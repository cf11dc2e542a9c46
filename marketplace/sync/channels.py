"""Reports to YClients when a salon's WhatsApp is down for good, and when it is back and stable.

YClients then stops offering the channel, or offers it again (YCLIENTS API reference, Marketplace,
`update_channel`). What is to be reported follows from the session's row; what YClients knows is in the
salon's `Channel`. A line that flaps is not reported: down is only what does not pass by itself soon, back is
only a line that has stood for a minute, and between two calls for one salon lie minutes.
"""

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import BooleanField, Case, F, Q, QuerySet, Value, When
from django.utils import timezone

from config.shared.queue import Queue
from marketplace.models import Channel, Company, MarketplaceEvent
from marketplace.yclients.api import YClients
from marketplace.yclients.call_errors import YClientsError
from whatsapp.models import Session
from whatsapp.sessions import policy

log = structlog.get_logger("marketplace")

BETWEEN_CALLS = timedelta(minutes=5)
OUTAGE = timedelta(minutes=15)  # a line that is away for longer, or a ban that lasts longer, is down
State = Channel.State
Status = Session.Status
CHANNELS = Queue(
    name="channels",
    model=Channel,
    due_at="next_at",
    null_is_due=True,
    lease=timedelta(minutes=2),  # longer than a call with its retries
    first=30.0,
)


def ready() -> QuerySet[Company]:
    """Active companies of which YClients believes something else than is so, the longest waiting first."""
    return _differing(timezone.now()).order_by(F("channel__next_at").asc(nulls_first=True), "pk")


def due(*, limit: int) -> list[int]:
    """Return ids of companies whose channel is to be reported now."""
    return list(ready()[:limit].values_list("pk", flat=True))


def report(company_id: int) -> None:
    """Report one salon's channel. A refusal by YClients stays in the row until what is so changes.

    Raises YClientsError when YClients could not be reached; the row says when to try again.
    """
    company = _differing(timezone.now()).filter(pk=company_id).first()
    channel = _claim(company) if company else None
    if company is None or channel is None:
        return
    available = bool(company.available)  # type: ignore[attr-defined]  # annotated by _differing
    try:
        with YClients() as yclients:
            yclients.update_channel(company.salon_id, available=available)
    except YClientsError as error:
        _record_failure(channel, error, available=available)
        if not error.permanent:
            raise
        log.warning("channel refused", salon_id=company.salon_id, available=available, cause=str(error))
    else:
        _record_reported(company, channel, available=available)


def report_again(company: Company) -> None:
    """Let a worker report what is so, whatever YClients knew or refused before."""
    CHANNELS.replay(Channel.objects.filter(company=company), told=None, state=State.DUE)


def _differing(now: datetime) -> QuerySet[Company]:
    """Active companies whose channel is to be reported, annotated with `available`."""
    active = Company.objects.filter(status=Company.Status.ACTIVE, session__isnull=False).annotate(
        available=Case(
            When(is_down(now), then=Value(False)),
            When(is_back(now), then=Value(True)),
            default=None,
            output_field=BooleanField(null=True),
        )
    )
    no_row = Q(channel__isnull=True)
    unknown = Q(channel__isnull=False, channel__told__isnull=True)
    wrong = Q(available=False) & (no_row | unknown | Q(channel__told=True))
    wrong |= Q(available=True) & (unknown | Q(channel__told=False))
    return active.filter(wrong, no_row | Q(channel__next_at__isnull=True) | Q(channel__next_at__lte=now))


def is_down(now: datetime) -> Q:
    """Nothing can be sent, and that does not end by itself within minutes."""
    return (
        Q(session__jid="")
        | Q(session__status__in=[Status.CONFLICT, Status.FAILED, Status.LOGGED_OUT])
        | Q(session__wanted=Session.Wanted.STOPPED)
        | Q(session__status=Status.BANNED, session__banned_until__gt=now + OUTAGE)
        | Q(session__status=Status.RECONNECTING, session__last_seen_at__lt=now - OUTAGE)
    )


def is_back(now: datetime) -> Q:
    """The line has stood for a while."""
    stable = now - timedelta(seconds=policy.STABLE_AFTER)
    return Q(session__status=Status.CONNECTED, session__connected_at__lte=stable)


def _claim(company: Company) -> Channel | None:
    """Claim the salon's row for one call; from here on nobody knows what YClients believes."""
    Channel.objects.bulk_create([Channel(company=company)], ignore_conflicts=True)
    pk = Channel.objects.values_list("pk", flat=True).get(company=company)
    return CHANNELS.claim(pk, told=None, state=State.DUE)


def _record_reported(company: Company, channel: Channel, *, available: bool) -> None:
    """Raises ClaimLost when the salon was uninstalled meanwhile, or another worker has its row."""
    now = timezone.now()
    with transaction.atomic():
        CHANNELS.finish(
            channel,
            told=available,
            told_at=now,
            state=State.SETTLED,
            next_at=now + BETWEEN_CALLS,
            attempts=0,
        )
        kind = MarketplaceEvent.Type.CHANNEL_UP if available else MarketplaceEvent.Type.CHANNEL_DOWN
        session = company.session
        company.note(kind, by="worker", session_status=session.status if session else "", told="yclients")
    log.info("channel reported", salon_id=company.salon_id, available=available)


def _record_failure(channel: Channel, error: YClientsError, *, available: bool) -> None:
    """Keep why; a refusal stands until the opposite is to be reported, anything else is tried again."""
    if not error.permanent:
        CHANNELS.retry(channel, error=str(error), retry_after=error.retry_after)
        return
    CHANNELS.held(channel).update(
        told=available,
        state=State.REFUSED,
        next_at=timezone.now() + BETWEEN_CALLS,
        last_error=str(error)[:500],
    )
