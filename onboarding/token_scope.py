"""The rows that a token speaks for."""

from dataclasses import dataclass
from datetime import UTC, datetime

from marketplace.models import Company
from onboarding.tokens import Registrant
from whatsapp.models import Session


class TokenRevoked(Exception):
    """The token is genuine, but what it speaks for is gone: nothing may be done with it."""


@dataclass(frozen=True, slots=True)
class TokenScope:
    """A token's salons: `company` is the one that it names first, `companies` all that share its session."""

    company: Company
    companies: list[Company]

    @property
    def session(self) -> Session:
        """The WhatsApp session of all these salons; raises NoPower while there is none."""
        if self.company.session is None:
            raise TokenRevoked(f"salon {self.company.salon_id} has no session")
        return self.company.session

    @property
    def may_act(self) -> bool:
        """False for a salon that has removed the application: it may look, and nothing else."""
        return self.company.status != Company.Status.UNINSTALLED


def load(registrant: Registrant) -> TokenScope:
    """Read the token's salons in one query; raise NoPower when they are gone.

    A token from before the last uninstall stays dead after a reinstall, which brings a new one.
    """
    rows = list(
        Company.objects.select_related("session")
        .defer("api_key", "webhook_secret")
        .filter(salon_id__in=registrant.salon_ids)
        .order_by("pk")
    )
    company = next((row for row in rows if row.pk == registrant.company_id), None)
    if company is None or company.salon_id != registrant.salon_id or company.session is None:
        raise TokenRevoked("no such salon")
    removed_at = company.uninstalled_at
    reinstalled = removed_at is not None and company.status != Company.Status.UNINSTALLED
    # Tokens carry whole seconds.
    if reinstalled and removed_at and registrant.issued_at < removed_at.replace(microsecond=0):
        raise TokenRevoked("issued before the application was removed")
    return TokenScope(company, [row for row in rows if row.session_id == company.session_id])


def acting(registrant: Registrant) -> TokenScope:
    """Like `load`, for a request that changes something; raises NoPower for an uninstalled salon, too."""
    scope = load(registrant)
    if not scope.may_act:
        raise TokenRevoked("the salon has removed the application")
    return scope


def seconds_until(moment: datetime) -> float:
    """Seconds from now to `moment`, negative when it has passed."""
    return (moment - datetime.now(UTC)).total_seconds()
