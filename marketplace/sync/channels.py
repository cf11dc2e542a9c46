"""Tells YClients when a salon's WhatsApp goes down for good, and when it is back and stable.

YClients then stops offering the channel, or offers it again (YCLIENTS API reference, Marketplace,
`update_channel`). What is wanted follows from the session's row; what was told is in the salon's `Channel`.
A line that flaps is no news: down is only what does not pass by itself soon, back is only a line that has
stood for a minute, and between two calls for one salon lie minutes.
"""

import random
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import BooleanField, Case, F, Q, QuerySet, Value, When
from django.utils import timezone

from marketplace.models import Channel, Company, MarketplaceEvent
from marketplace.yclients.api import YClients
from marketplace.yclients.call_errors import YClientsError
from whatsapp.models import Session
from whatsapp.sessions import policy

log = structlog.get_logger("marketplace")

BETWEEN_CALLS = timedelta(minutes=5)
CLAIM = timedelta(minutes=2)  # longer than a call with its retries
OUTAGE = timedelta(minutes=15)  # a line that is away for longer, or a ban that lasts longer, is down
LONGEST_PAUSE = 3600.0  # seconds
State = Channel.State
Status = Session.Status


def due(*, limit: int) -> list[int]:
    """Return ids of active companies of which YClients believes something else than is so."""
    now = timezone.now()
    rows = _differing(now).order_by(F("channel__next_at").asc(nulls_first=True), "pk")
    return list(rows[:limit].values_list("pk", flat=True))


def tell(company_id: int) -> None:
    """Tell YClients about one salon's channel. Its refusal stays in the row until what is so changes.

    Raises YClientsError when YClients could not be told; the row says when to try again.
    """
    now = timezone.now()
    company = _differing(now).select_related("channel").filter(pk=company_id).first()
    if company is None:
        return
    available = bool(company.available)  # type: ignore[attr-defined]  # annotated by _differing
    channel = _claim(company, now)
    if channel is None:
        return
    try:
        with YClients() as yclients:
            yclients.update_channel(company.salon_id, available=available)
    except YClientsError as error:
        _not_told(channel, error, available=available)
        if not error.permanent:
            raise
        log.warning("channel refused", salon_id=company.salon_id, available=available, cause=str(error))
    else:
        _told(company, channel, available=available)


def tell_again(company: Company) -> None:
    """Let a worker tell YClients what is so, whatever it was told and refused before."""
    Channel.objects.filter(company=company).update(
        told=None, state=State.DUE, next_at=None, attempts=0, last_error=""
    )


def _differing(now: datetime) -> "QuerySet[Company]":
    """Active companies whose channel is to be told, annotated with `available`."""
    active = Company.objects.filter(status=Company.Status.ACTIVE, session__isnull=False).annotate(
        available=Case(
            When(_is_down(now), then=Value(False)),
            When(_is_back(now), then=Value(True)),
            default=None,
            output_field=BooleanField(null=True),
        )
    )
    no_row = Q(channel__isnull=True)
    unknown = Q(channel__isnull=False, channel__told__isnull=True)
    wrong = Q(available=False) & (no_row | unknown | Q(channel__told=True))
    wrong |= Q(available=True) & (unknown | Q(channel__told=False))
    return active.filter(wrong, no_row | Q(channel__next_at__isnull=True) | Q(channel__next_at__lte=now))


def _is_down(now: datetime) -> Q:
    """Nothing can be sent, and that does not end by itself within minutes."""
    return (
        Q(session__jid="")
        | Q(session__status__in=[Status.CONFLICT, Status.FAILED, Status.LOGGED_OUT])
        | Q(session__wanted=Session.Wanted.STOPPED)
        | Q(session__status=Status.BANNED, session__banned_until__gt=now + OUTAGE)
        | Q(session__status=Status.RECONNECTING, session__last_seen_at__lt=now - OUTAGE)
    )


def _is_back(now: datetime) -> Q:
    stable = now - timedelta(seconds=policy.STABLE_AFTER)
    return Q(session__status=Status.CONNECTED, session__connected_at__lte=stable)


def _claim(company: Company, now: datetime) -> Channel | None:
    """Take the salon's row for one call, noting that from here on nobody knows what YClients believes."""
    Channel.objects.bulk_create([Channel(company=company)], ignore_conflicts=True)
    free = Q(next_at__isnull=True) | Q(next_at__lte=now)
    claimed = Channel.objects.filter(free, company=company).update(
        told=None, state=State.DUE, next_at=now + CLAIM, attempts=F("attempts") + 1
    )
    return Channel.objects.get(company=company) if claimed else None


def _told(company: Company, channel: Channel, *, available: bool) -> None:
    now = timezone.now()
    with transaction.atomic():
        mine = Channel.objects.filter(pk=channel.pk, next_at=channel.next_at)
        if not mine.update(
            told=available,
            told_at=now,
            state=State.SETTLED,
            next_at=now + BETWEEN_CALLS,
            attempts=0,
            last_error="",
        ):
            return  # the salon was uninstalled meanwhile, or another worker has it
        kind = MarketplaceEvent.Type.CHANNEL_UP if available else MarketplaceEvent.Type.CHANNEL_DOWN
        session = company.session
        company.note(kind, by="worker", session_status=session.status if session else "", told="yclients")
    log.info("channel told", salon_id=company.salon_id, available=available)


def _not_told(channel: Channel, error: YClientsError, *, available: bool) -> None:
    """Keep why; a refusal stands until the opposite is to be told, anything else is tried again."""
    mine = Channel.objects.filter(pk=channel.pk, next_at=channel.next_at)
    now, words = timezone.now(), str(error)[:500]
    if error.permanent:
        mine.update(told=available, state=State.REFUSED, next_at=now + BETWEEN_CALLS, last_error=words)
        return
    longest = min(LONGEST_PAUSE, 15 * 2.0 ** min(channel.attempts, 10))
    pause = 15 + random.uniform(0, longest)  # noqa: S311 spreads load, guards nothing
    mine.update(next_at=now + timedelta(seconds=pause), last_error=words)
