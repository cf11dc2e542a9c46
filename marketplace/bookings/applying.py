"""One webhook about a booking, applied: what is known, what is said and the reminder, in one transaction."""

from dataclasses import replace
from datetime import datetime

import structlog
from django.utils import timezone

from marketplace.bookings import decisions, messages, records, reminders, storing, wording
from marketplace.bookings.visits import SentNotice, Wanted
from marketplace.models import Company, InboundWebhook
from marketplace.models.booking_kinds import Kind
from marketplace.models.bookings import BookingSettings, RecordState
from marketplace.salons.phone_numbers import region_of

log = structlog.get_logger("bookings")

RESOURCE = "record"


def apply(webhook: InboundWebhook) -> bool:
    """Apply a kept webhook in the caller's transaction; False when it tells nothing new.

    What is known of bookings is kept whatever is switched on, so that the first message after a switch is
    the right one.
    """
    company = _locked(webhook)
    if company is None:
        return False
    region = region_of(phone=company.phone, timezone_name=company.timezone_name)
    heard = records.read(
        webhook.body, heard_at=webhook.received_at, zone=wording.clock_of(company), region=region
    )
    if heard is None:
        return False
    known = RecordState.objects.select_for_update(no_key=True).filter(company=company)
    row = known.filter(record_id=heard.record_id).first()
    row = row or RecordState(company=company, record_id=heard.record_id)
    return _take(company, row, heard, now=timezone.now())


def _locked(webhook: InboundWebhook) -> Company | None:
    """The salon, locked: its webhooks are applied one by one, and nothing slips past a freeze."""
    salons = Company.objects.select_for_update(of=("self",), no_key=True).select_related("session")
    installed = salons.exclude(status=Company.Status.UNINSTALLED)
    return installed.filter(salon_id=webhook.salon_id).first() if webhook.salon_id else None


def _take(company: Company, row: RecordState, heard: records.RecordChange, *, now: datetime) -> bool:
    before, settings = storing.booking_of(row), wording.settings_of(company)
    decision = decisions.decide(
        before,
        heard,
        outcomes=messages.outcomes(one.message for one in before.said) if before.said else {},
        may=lambda kind, phone: _may(company, settings, kind, phone),
        now=now,
    )
    if decision.booking == before and row.pk:
        return False
    if decision.withdraw:
        messages.withdraw(one.message for one in decision.withdraw)
    said = [_make(company, row, wanted, settings.language, now) for wanted in decision.make]
    after = replace(decision.booking, said=(*decision.booking.said, *said))
    reminders.follow(company, row, before=before, after=after, settings=settings)
    storing.put_into(row, after)
    row.save()
    log.info(
        "booking followed",
        salon_id=company.salon_id,
        record=row.record_id,
        said=[str(one.kind) for one in said],
        withdrawn=len(decision.withdraw),
    )
    return after.seen != before.seen or bool(said)


def _may(company: Company, settings: BookingSettings, kind: Kind, phone: str) -> bool:
    return settings.tells(kind) and messages.is_served(company) and not messages.wants_none(company, phone)


def _make(company: Company, row: RecordState, wanted: Wanted, language: str, now: datetime) -> SentNotice:
    number = messages.make(
        company,
        row,
        kind=wanted.kind,
        phone=wanted.phone,
        visit=wanted.visit,
        language=language,
        now=now,
    )
    return SentNotice(number, wanted.kind, wanted.phone, wanted.visit)
