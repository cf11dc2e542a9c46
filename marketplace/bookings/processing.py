"""One webhook about a booking, applied in one transaction: its row, its messages, its reminder."""

from dataclasses import replace

import structlog
from django.db import transaction
from django.utils import timezone

from marketplace.bookings import decisions, messages, records, reminders, rows, wording
from marketplace.models import Company, InboundWebhook
from marketplace.models.bookings import RecordState
from marketplace.salons.phone_numbers import region_of_salon

log = structlog.get_logger("bookings")

RESOURCE = "record"


@transaction.atomic
def apply(webhook: InboundWebhook) -> bool:
    """Apply a stored webhook; False when it changes nothing.

    Bookings are followed whatever is switched on, so that the first message after a switch is the right one.
    """
    company = _locked_company(webhook)
    change = _parse(webhook, company) if company else None
    if company is None or change is None:
        return False
    row = _locked_row(company, change.record_id)
    before, settings, now = rows.booking_of(row), wording.settings_of(company), timezone.now()
    decision = decisions.decide(
        before,
        change,
        outcomes=messages.outcomes(notice.message for notice in before.notices) if before.notices else {},
        may=lambda kind, phone: (
            settings.sends(kind)
            and messages.is_served(company)
            and not messages.has_opted_out(company, phone)
        ),
        now=now,
    )
    if decision.booking == before and row.pk:
        return False
    if decision.withdraw:
        messages.withdraw(notice.message for notice in decision.withdraw)
    queued = [
        messages.queue(company, row, wanted, language=settings.language, now=now) for wanted in decision.queue
    ]
    after = replace(decision.booking, notices=(*decision.booking.notices, *queued))
    reminders.follow(company, row, before=before, after=after, settings=settings)
    rows.update(row, after)
    row.save()
    log.info(
        "booking followed",
        salon_id=company.salon_id,
        record=row.record_id,
        queued=[str(notice.kind) for notice in queued],
        withdrawn=len(decision.withdraw),
    )
    return after.fields != before.fields or bool(queued)


def _locked_company(webhook: InboundWebhook) -> Company | None:
    """The salon, locked: its webhooks are applied one by one, and nothing slips past a freeze."""
    salons = Company.objects.select_for_update(of=("self",), no_key=True).select_related("session")
    installed = salons.exclude(status=Company.Status.UNINSTALLED)
    return installed.filter(salon_id=webhook.salon_id).first() if webhook.salon_id else None


def _parse(webhook: InboundWebhook, company: Company) -> records.RecordChange | None:
    zone = wording.clock_of(company)
    return records.parse(
        webhook.body, received_at=webhook.received_at, zone=zone, region=region_of_salon(company)
    )


def _locked_row(company: Company, record_id: int) -> RecordState:
    stored = RecordState.objects.select_for_update(no_key=True).filter(company=company, record_id=record_id)
    return stored.first() or RecordState(company=company, record_id=record_id)
