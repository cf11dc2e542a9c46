"""A salon owner arrives from the marketplace: his salons become ours, waiting for WhatsApp.

A salon's id is not covered by the signature of the link. So three things are never taken from the link alone:
that the salon is installing us (YClients is asked), that it is the visitor's (`ownership`), and anybody's
linked WhatsApp (a salon that is active or has a linked device keeps its own session, and no other salon of
the link comes to share it).

A visit makes one call to YClients at most. Of a link with many salons the first that still has to be
connected is checked at once, the others by a worker (`registration_checks`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from config.shared import hints
from marketplace.models import AccessRequest, Company
from marketplace.salons import connecting, installation, lifecycle, ownership, registration_checks
from marketplace.salons.installation import Answer, InstallationUnverified, NotInstalling, YClientsBusy
from marketplace.salons.ownership import Verdict, Visitor
from marketplace.yclients.api import Installation
from marketplace.yclients.signing import MarketplaceUser
from whatsapp.models import Session
from whatsapp.sessions import services

__all__ = [
    "BadSalons",
    "InstallationUnverified",
    "NoPower",
    "NotInstalling",
    "Refusal",
    "Registration",
    "SalonFrozen",
    "YClientsBusy",
    "start_registration",
]

log = structlog.get_logger("marketplace")

MAX_SALONS = 50  # of one link
MAX_SALON_ID = 2**63 - 1
Status = Company.Status


class BadSalons(ValueError):
    """No salon id, too many of them, or one that cannot be a salon's number."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A salon of the link over which it gives nothing, and why; `request` waits for support."""

    company: Company
    verdict: Verdict
    request: AccessRequest | None


class NoPower(Exception):
    """The link gives nothing over any of its salons."""

    def __init__(self, refusals: list[Refusal]) -> None:
        super().__init__(", ".join(f"{each.company.salon_id} {each.verdict}" for each in refusals))
        self.refusals = refusals


class SalonFrozen(Exception):
    """YClients has suspended the application for the visitor's own salon, until it is paid for."""

    def __init__(self, company: Company, answer: Installation) -> None:
        super().__init__(f"salon {company.salon_id} is frozen")
        self.company, self.installation = company, answer


@dataclass(frozen=True, slots=True)
class Registration:
    """What one link is about: `companies` are those that its token names, `primary` is among them.

    The primary is the first salon of the link that still has to be connected; when none has, the first.
    """

    companies: list[Company]
    primary: Company
    refusals: list[Refusal] = field(default_factory=list)


def start_registration(*, salon_ids: Sequence[int], user: MarketplaceUser, signed: bool) -> Registration:
    """Create or update the salons' rows and give the visitor those that are his.

    Raises BadSalons, NotInstalling, InstallationUnverified, YClientsBusy, SalonFrozen, NoPower.
    """
    ids = _clean(salon_ids)
    visitor = Visitor(user, signed)
    first = _first_to_check(ids, visitor)
    answer = installation.ask(first, signed=signed) if first else Answer(0, timezone.now())
    if answer.installation and not answer.installation.wants_us:
        _stop(answer, answer.installation, visitor)
    with transaction.atomic(durable=True):
        result = _register(_rows(ids), visitor, answer)
    if isinstance(result, NoPower):
        log.warning("registration refused", salons=ids, signed=signed, cause=str(result))
        raise result
    log.info(
        "registration started",
        salon_id=result.primary.salon_id,
        salons=ids,
        session=str(result.primary.session_id),
        signed=signed,
    )
    return result


def _clean(salon_ids: Sequence[int]) -> list[int]:
    ids = list(dict.fromkeys(salon_ids))
    if not 1 <= len(ids) <= MAX_SALONS or not all(0 < salon_id <= MAX_SALON_ID for salon_id in ids):
        raise BadSalons("no salon id, too many of them, or a bad one")
    return ids


def _first_to_check(ids: list[int], visitor: Visitor) -> int | None:
    """The first salon that may be the visitor's and is still to be connected, else the first of his; None
    when the link gives nothing over any of them."""
    known = {
        company.salon_id: company
        for company in Company.objects.select_related("session").filter(salon_id__in=ids)
    }
    rows = [known.get(salon_id) or Company(salon_id=salon_id) for salon_id in ids]
    # What YClients may say in the visitor's favour: a removed salon that is installed anew is anybody's.
    his = [row for row in rows if ownership.judge(row, visitor, installation="pending") == Verdict.POWER]
    open_rows = [
        row
        for row in his
        if row.status not in (Status.ACTIVE, Status.FROZEN) and not connecting.is_linked(row)
    ]
    # A dispute may be over at YClients: those who run the salon can end the installation there.
    disputed = [row for row in rows if row.disputed_at and visitor.signed]
    return next((row.salon_id for row in [*open_rows, *his, *disputed]), None)


def _stop(answer: Answer, there: Installation, visitor: Visitor) -> None:
    """YClients is not waiting for us in this salon. Always raises."""
    with transaction.atomic(durable=True):
        company = lifecycle.locked(answer.salon_id)
        known = company or Company(salon_id=answer.salon_id)
        frozen = there.status == "freezed" and visitor.signed
        if frozen and company and company.status == Status.ACTIVE:
            lifecycle.freeze(company, by="registration")
        elif company and not frozen and not ownership.is_settled(company):
            # What was begun is over, and with it the claim of whoever came first.
            lifecycle.uninstall(company, by="registration")
    if frozen and ownership.judge(known, visitor, installation=there.status) == Verdict.POWER:
        raise SalonFrozen(known, there)
    log.warning("registration refused", salon_id=answer.salon_id, installation=there.status)
    raise NotInstalling


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


def _register(companies: list[Company], visitor: Visitor, answer: Answer) -> Registration | NoPower:
    verdicts = {company.pk: _judge(company, visitor, answer) for company in companies}
    granted = [company for company in companies if verdicts[company.pk] == Verdict.POWER]
    refusals = [
        _refuse(company, verdicts[company.pk], visitor) for company in companies if company not in granted
    ]
    if not granted:
        return NoPower(refusals)
    who = {
        "signed": visitor.signed,
        "user_id": visitor.user.id,
        "salons": [company.salon_id for company in companies],
    }
    primary = next((company for company in granted if company.salon_id == answer.salon_id), granted[0])
    connecting.begin(primary, visitor, answer, who)
    session = connecting.own_session(primary)
    for company in granted:
        if company is primary:
            continue
        if settings.YCLIENTS_VERIFY_INSTALLATION or not connecting.may_join(company):
            connecting.note(company, who)
        else:
            connecting.begin(company, visitor, answer, who)
            connecting.join(company, session)
    unread = [company for company in granted if company is primary or connecting.may_join(company)]
    if answer.details:
        unread.remove(primary)
    checked = primary if answer.installation else None
    registration_checks.enqueue(unread, visitor=visitor, session=session, checked=checked)
    services.mark_changed(session=session)
    hints.wake_workers()
    return Registration(companies=granted, primary=primary, refusals=refusals)


def _judge(company: Company, visitor: Visitor, answer: Answer) -> Verdict:
    # A salon that nobody has asked about yet is given the benefit of it: the worker's check decides.
    asked = company.salon_id == answer.salon_id
    return ownership.judge(company, visitor, installation=answer.status_of(company) if asked else "pending")


def _refuse(company: Company, verdict: Verdict, visitor: Visitor) -> Refusal:
    if verdict == Verdict.SECOND_USER:
        ownership.dispute(company, visitor)
        registration_checks.follow_dispute(company, visitor)
        verdict = Verdict.DISPUTED
    request = None
    if verdict in (Verdict.OTHER_OWNER, Verdict.DISPUTED):
        request = ownership.record_request(company, visitor)
    return Refusal(company, verdict, request)
