"""The rows that a token speaks for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from marketplace.models import Company, RegistrationCheck
from marketplace.salons import access, ownership, phone_numbers
from onboarding.linking.tokens import Registrant
from whatsapp.models import Session


class TokenRevoked(Exception):
    """The token is genuine, but what it speaks for is gone: nothing may be done with it."""


class Disputed(Exception):
    """Two users have come for one of the token's salons: it may look, and link nothing."""


@dataclass(frozen=True, slots=True)
class TokenScope:
    """A token's salons: `company` is the one that it names first, `companies` all that share its session."""

    company: Company
    companies: list[Company]
    checks: list[RegistrationCheck] = field(default_factory=list)  # further salons that may join them

    @property
    def session(self) -> Session:
        """The WhatsApp session of all these salons; raises TokenRevoked while there is none."""
        if self.company.session is None:
            raise TokenRevoked(f"salon {self.company.salon_id} has no session")
        return self.company.session

    @property
    def region(self) -> str:
        """The two-letter country in which the salon's people write numbers without a country code."""
        return phone_numbers.region_of_salon(self.company)

    @property
    def is_disputed(self) -> bool:
        """Two users have come for one of the salons: nobody may link their WhatsApp until support decides."""
        return any(company.disputed_at for company in self.companies)

    @property
    def may_act(self) -> bool:
        """False for a salon that has removed the application: it may look, and nothing else."""
        return self.company.status != Company.Status.UNINSTALLED


def load(registrant: Registrant) -> TokenScope:
    """Read the token's salons; raise TokenRevoked when they are gone.

    A token from before the last uninstall stays dead after a reinstall, which brings a new one.
    """
    return load_all([registrant])[0]


def load_all(registrants: Sequence[Registrant]) -> list[TokenScope]:
    """As `load`, for many tokens with one query for all their salons."""
    salons = {salon_id for registrant in registrants for salon_id in registrant.salon_ids}
    found = Company.objects.select_related("session").defer("api_key", "webhook_secret")
    rows = {row.salon_id: row for row in found.filter(salon_id__in=salons).order_by("pk")}
    return [
        _scope_of(registrant, [row for salon_id, row in rows.items() if salon_id in registrant.salon_ids])
        for registrant in registrants
    ]


def _scope_of(registrant: Registrant, rows: list[Company]) -> TokenScope:
    company = next((row for row in rows if row.pk == registrant.company_id), None)
    if company is None or company.salon_id != registrant.salon_id or company.session is None:
        raise TokenRevoked("no such salon")
    removed_at = company.uninstalled_at
    reinstalled = removed_at is not None and company.status != Company.Status.UNINSTALLED
    # Tokens carry whole seconds.
    if reinstalled and removed_at and registrant.issued_at < removed_at.replace(microsecond=0):
        raise TokenRevoked("issued before the application was removed")
    if not _has_power(company, registrant):
        raise TokenRevoked("the salon belongs to somebody else by now")
    shared = [row for row in rows if row.session_id == company.session_id and _has_power(row, registrant)]
    return TokenScope(company, shared, _checks(company, registrant))


def _has_power(company: Company, registrant: Registrant) -> bool:
    if registrant.holder is None and registrant.access_request is None:
        return True
    return access.has_power(company, holder=registrant.holder or "", request_id=registrant.access_request)


def _checks(company: Company, registrant: Registrant) -> list[RegistrationCheck]:
    if len(registrant.salon_ids) == 1:
        return []
    found = RegistrationCheck.objects.select_related("company").defer(
        "company__api_key", "company__webhook_secret"
    )
    named = found.filter(session=company.session_id, company__salon_id__in=registrant.salon_ids)
    return list(named.exclude(state=RegistrationCheck.State.DETAILS).order_by("company__salon_id"))


def acting(registrant: Registrant) -> TokenScope:
    """Like `load`, for a request that changes something; also raises TokenRevoked for a removed salon, and
    Disputed."""
    scope = load(registrant)
    if not scope.may_act:
        raise TokenRevoked("the salon has removed the application")
    if scope.is_disputed:
        raise Disputed(f"salon {scope.company.salon_id}")
    return scope


def seconds_until(moment: datetime) -> float:
    """Seconds from now to `moment`, negative when it has passed."""
    return (moment - datetime.now(UTC)).total_seconds()


def owner_name(scope: TokenScope, registrant: Registrant) -> str:
    """The name of the person whose link the token comes from, as YClients says it; empty when unknown."""
    owner = ownership.owner_of(scope.company)
    return owner.name if registrant.holder in (None, ownership.digest_of(owner)) else ""
