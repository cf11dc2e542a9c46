"""A salon owner arrives from the marketplace: his salons become ours, waiting for WhatsApp.

A salon's id is not covered by the signature of the link. So two things are never taken from the link alone:
that the salon is installing us (YClients is asked), and anybody's linked WhatsApp (a salon that is active
or has a linked device keeps its own session, and no other salon of the link comes to share it).
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from config.shared import hints
from marketplace.models import Company, MarketplaceEvent
from marketplace.salons import clock, lifecycle
from marketplace.yclients.api import Installation, YClients
from marketplace.yclients.call_errors import YClientsError
from marketplace.yclients.signing import MarketplaceUser
from whatsapp.models import Session
from whatsapp.sessions import services

log = structlog.get_logger("marketplace")

MAX_SALONS = 50  # of one link
MAX_SALON_ID = 2**63 - 1
DETAILS_TIME = 10.0  # seconds for the details of all salons of a link
# An activation that ended this lately may not yet be in what YClients answered us before.
SETTLED_AFTER = timedelta(minutes=1)

Status = Company.Status


class BadSalons(ValueError):
    """No salon id, too many of them, or one that cannot be a salon's number."""


class NotInstalling(Exception):
    """YClients says that a salon is not installing our application."""


class InstallationUnverified(Exception):
    """YClients could not be asked and nothing else vouches for the visitor: he may try again later."""


class YClientsBusy(Exception):
    """Our share of calls to YClients is used up at this moment; `retry_after` is in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"no call to YClients is free for {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Registration:
    """What one link is about: `companies` share one session and the token; `primary` is among them.

    The primary is the first salon of the link that still has to be connected; when none has, the first.
    """

    companies: list[Company]
    primary: Company


@dataclass(frozen=True, slots=True)
class _Learned:
    """What YClients said before the transaction; salons it could not be asked about are missing."""

    asked_at: datetime
    installations: dict[int, Installation] = field(default_factory=dict)
    details: dict[int, dict[str, str]] = field(default_factory=dict)

    def says(self, company: Company, status: str) -> bool:
        installation = self.installations.get(company.salon_id)
        return installation is not None and installation.status == status


def start_registration(*, salon_ids: Sequence[int], user: MarketplaceUser, signed: bool) -> Registration:
    """Create or update the salons' rows and give those that are to be connected one session.

    Every salon must be pending or active at YClients, else the whole link is refused; when YClients cannot
    be asked, a signed link goes on. Raises BadSalons, NotInstalling, InstallationUnverified, YClientsBusy.
    """
    ids = _clean(salon_ids)
    learned = _ask_yclients(ids, signed=signed)
    with transaction.atomic(durable=True):
        companies = _rows(ids)
        zones = {company.pk: company.timezone_name for company in companies}
        who = {"signed": signed, "user_id": user.id, "salons": ids}
        for company in companies:
            _begin(company, user=user, learned=learned, who=who)
        registration = _share_session(companies)
        for company in companies:
            clock.follow(company, before=zones[company.pk])
    log.info(
        "registration started",
        salon_id=registration.primary.salon_id,
        salons=ids,
        session=str(registration.primary.session_id),
        signed=signed,
    )
    return registration


def _clean(salon_ids: Sequence[int]) -> list[int]:
    ids = list(dict.fromkeys(salon_ids))
    if not 1 <= len(ids) <= MAX_SALONS or not all(0 < salon_id <= MAX_SALON_ID for salon_id in ids):
        raise BadSalons("no salon id, too many of them, or a bad one")
    return ids


def _ask_yclients(ids: list[int], *, signed: bool) -> _Learned:
    learned = _Learned(asked_at=timezone.now())
    with YClients() as yclients:
        if settings.YCLIENTS_VERIFY_INSTALLATION and not _verify(yclients, ids, learned, signed=signed):
            return learned
        ends = time.monotonic() + DETAILS_TIME
        for salon_id in ids:
            if time.monotonic() > ends:
                break
            try:
                learned.details[salon_id] = yclients.company(salon_id)
            except YClientsError as error:
                log.warning("company details not read", salon_id=salon_id, cause=str(error))
                if not error.permanent:
                    break
    return learned


def _verify(yclients: YClients, ids: list[int], learned: _Learned, *, signed: bool) -> bool:
    """Fill `learned.installations`; True when YClients answered for every salon."""
    for salon_id in ids:
        try:
            installation = yclients.installation(salon_id)
        except YClientsError as error:
            if error.status == 403:
                log.warning("registration refused", salon_id=salon_id, cause=str(error))
                raise NotInstalling from error
            log.warning("installation not verified", salon_id=salon_id, signed=signed, cause=str(error))
            if error.is_busy:
                raise YClientsBusy(max(1, math.ceil(error.retry_after or 1))) from error
            if not signed:
                raise InstallationUnverified from error
            return False
        if not installation.wants_us:
            log.warning("registration refused", salon_id=salon_id, installation=installation.status)
            raise NotInstalling
        learned.installations[salon_id] = installation
    return True


def _rows(ids: list[int]) -> list[Company]:
    """Return the salons' rows, made where missing, locked in one order for all, in the order of `ids`."""
    missing = [Company(salon_id=salon_id) for salon_id in sorted(ids)]
    Company.objects.bulk_create(missing, ignore_conflicts=True)
    locked = Company.objects.select_for_update().filter(salon_id__in=ids).order_by("salon_id")
    by_salon = {company.salon_id: company for company in locked}
    sessions = Session.objects.select_for_update().in_bulk(
        sorted({company.session_id for company in by_salon.values() if company.session_id})
    )
    for company in by_salon.values():
        if company.session_id:
            company.session = sessions[company.session_id]
    return [by_salon[salon_id] for salon_id in ids]


def _begin(company: Company, *, user: MarketplaceUser, learned: _Learned, who: dict[str, Any]) -> None:
    """Note the registration and move the salon to where YClients says it is."""
    session = company.session
    now = timezone.now()
    before = company.status
    changes: dict[str, Any] = {**learned.details.get(company.salon_id, {}), "registered_at": now}
    if before == Status.FROZEN and learned.says(company, "active"):
        company.move(to=Status.ACTIVE, sources=[before], frozen_at=None, activation_next_at=None, **changes)
        company.note(MarketplaceEvent.Type.UNFROZEN, by="registration")
    elif before == Status.ACTIVATING:
        company.move(to=before, sources=[before], activation_next_at=now, **changes)
    elif before in (Status.ACTIVE, Status.FROZEN) and not _reinstalled(company, learned):
        company.move(to=before, sources=[before], **changes)
    else:
        company.move(
            to=Status.PENDING_WHATSAPP, sources=[before], **{**_fresh(company, user=user), **changes}
        )
    company.session = session
    if before == Status.FROZEN:
        lifecycle.settle_sending(company)
    company.note(MarketplaceEvent.Type.REGISTRATION_STARTED, **who, status_before=before)


def _reinstalled(company: Company, learned: _Learned) -> bool:
    """YClients waits for a key although we hold one: the application was removed and no word reached us."""
    settled = company.activated_at is None or company.activated_at < learned.asked_at - SETTLED_AFTER
    return settled and learned.says(company, "pending")


def _fresh(company: Company, *, user: MarketplaceUser) -> dict[str, Any]:
    """Changes for a salon that is to be connected; a key that YClients may have taken is kept."""
    changes: dict[str, Any] = {
        "marketplace_user_id": user.id,
        "marketplace_user_name": user.name,
        "marketplace_user_phone": user.phone,
        "marketplace_user_email": user.email,
        "activation_attempts": 0,
        "activation_next_at": None,
        "activation_error": "",
        "redirect_url": "",
        "frozen_at": None,
    }
    if not company.title and user.salon_name:
        changes["title"] = user.salon_name
    if company.status in (Status.ACTIVE, Status.FROZEN):
        changes.update(Company.WITHOUT_SECRETS)
    return changes


def _share_session(companies: list[Company]) -> Registration:
    """Give the salons that have no linked device, and are not active, one session: their first one's."""
    free = [company for company in companies if _is_free(company)]
    covered = free or companies[:1]
    primary = covered[0]
    session = primary.session
    if session is None or session.wanted == Session.Wanted.UNLINKED:
        session = services.create_session()
    left = {company.session for company in covered if company.session and company.session != session}
    for company in covered:
        company.session = session
        Company.objects.filter(pk=company.pk).update(session=session)
    for old in left:
        # Nobody's any more: a phone that scans its code now must not stay linked.
        if not old.companies.exists() and old.wanted != Session.Wanted.UNLINKED:
            services.unlink(session=old, reason="its salons moved to another session")
        services.mark_changed(session=old)
    services.mark_changed(session=session)
    hints.wake_workers()
    return Registration(companies=covered, primary=primary)


def _is_free(company: Company) -> bool:
    session = company.session
    linked = session is not None and session.is_linked and session.wanted != Session.Wanted.UNLINKED
    return company.status == Status.PENDING_WHATSAPP and not linked
