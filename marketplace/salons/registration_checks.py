"""The salons of a link that a worker checks with YClients, so that no visit waits for many answers."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from config.shared.queue import Queue
from marketplace.models import Company, RegistrationCheck
from marketplace.salons import connecting, details, lifecycle, ownership
from marketplace.salons.ownership import Verdict, Visitor
from marketplace.yclients.api import YClients
from marketplace.yclients.call_errors import YClientsError
from marketplace.yclients.signing import MarketplaceUser
from whatsapp.models import Session
from whatsapp.sessions import services

log = structlog.get_logger("marketplace")

State = RegistrationCheck.State
DISPUTE_INTERVAL = timedelta(minutes=15)
CHECKS = Queue(
    name="registrations",
    model=RegistrationCheck,
    where=Q(state__in=[State.CHECKING, State.DETAILS]),
    lease=timedelta(seconds=60),
    longest=300.0,
)
GIVEN_UP_AFTER = timedelta(hours=12)  # so long an installation waits for us (YCLIENTS API reference)


def enqueue(companies: list[Company], *, visitor: Visitor, session: Session, checked: Company | None) -> None:
    """Let a worker check these salons of a link and read their details; `checked` needs the details alone."""
    now = timezone.now()
    for company in companies:
        verified = company is checked or not settings.YCLIENTS_VERIFY_INSTALLATION
        RegistrationCheck.objects.update_or_create(
            company=company,
            holder=visitor.holder,
            defaults={
                "session": session,
                "user": {"signed": visitor.signed, **asdict(visitor.user)},
                "state": State.DETAILS if verified else State.CHECKING,
                "attempts": 0,
                "next_attempt_at": now,
                "last_error": "",
                "created_at": now,
            },
        )


def follow_dispute(company: Company, visitor: Visitor) -> None:
    """Let a worker ask YClients now and then whether the disputed installation is over."""
    if company.session is not None:
        enqueue([company], visitor=visitor, session=company.session, checked=None)


def check(check_id: int) -> None:
    """Take one step with a check that is due, with one call to YClients."""
    if (row := CHECKS.claim(check_id)) is None:
        return
    try:
        if row.state == State.DETAILS:
            details.refresh(row.company.salon_id)
            row.delete()
        else:
            _verify(row)
    except YClientsError as error:
        _postpone(row, error)


def _verify(row: RegistrationCheck) -> None:
    with YClients(low_priority=True) as yclients:
        there = yclients.installation(row.company.salon_id)
    with transaction.atomic():
        company = lifecycle.locked(row.company.salon_id)
        if company is None or not RegistrationCheck.objects.filter(pk=row.pk, state=State.CHECKING).exists():
            return
        user = dict(row.user)
        visitor = Visitor(signed=bool(user.pop("signed", False)), user=MarketplaceUser(**user))
        verdict = ownership.judge(company, visitor, installation=there.status)
        changes: dict[str, Any] = {"next_attempt_at": timezone.now(), "attempts": 0}
        if there.wants_us and verdict == Verdict.SECOND_USER:
            ownership.dispute(company, visitor)
        if there.wants_us and company.disputed_at:
            changes["next_attempt_at"] += DISPUTE_INTERVAL
        elif there.wants_us and verdict == Verdict.POWER and _joins(company, row.session, visitor):
            changes["state"] = State.DETAILS
        else:
            _refuse(company, row, visitor, gone=not there.wants_us)
            changes = {"state": State.REFUSED, "next_attempt_at": None, "user": {}}
        CHECKS.finish(row, **changes)
        services.mark_changed(session=row.session)
    log.info("salon of a link checked", salon_id=company.salon_id, installation=there.status, verdict=verdict)


def _joins(company: Company, session: Session, visitor: Visitor) -> bool:
    """Give the salon to the visitor and let it share the link's session, where both are still free."""
    if company.session == session and company.status != Company.Status.UNINSTALLED:
        return True
    shared = session.companies.all()
    foreign = any(ownership.digest_of(ownership.owner_of(each)) != visitor.holder for each in shared)
    if foreign or session.wanted == Session.Wanted.UNLINKED or not connecting.may_join(company):
        return False
    company.move(
        to=Company.Status.PENDING_WHATSAPP,
        sources=[company.status],
        registered_at=timezone.now(),
        **connecting.fresh(company, visitor),
    )
    connecting.join(company, session)
    return True


def _refuse(company: Company, row: RegistrationCheck, visitor: Visitor, *, gone: bool) -> None:
    """A disputed salon, or one that was let in unchecked while YClients was away, is let go when it is not
    installing us."""
    his = ownership.digest_of(ownership.owner_of(company)) == visitor.holder
    held = company.disputed_at or (his and company.session == row.session)
    if gone and held and not ownership.is_settled(company):
        lifecycle.uninstall(company, by="registration check")


def _postpone(row: RegistrationCheck, error: YClientsError) -> None:
    log.info("salon of a link not checked yet", salon_id=row.company.salon_id, cause=str(error))
    if row.created_at < timezone.now() - GIVEN_UP_AFTER or (row.state == State.DETAILS and error.permanent):
        row.delete()
        return
    CHECKS.retry(row, error=str(error), retry_after=error.retry_after)
