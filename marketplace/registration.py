"""A salon owner arrives from the marketplace: his salons become ours, waiting for WhatsApp."""

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.models import Company
from marketplace.signing import MarketplaceUser


class BadSalons(ValueError):
    """No salon id, too many of them, or one that cannot be a salon's number."""


class NotInstalling(Exception):
    """YClients says that a salon is not installing our application."""


class InstallationUnverified(Exception):
    """YClients could not be asked and nothing else vouches for the visitor: he may try again later."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What one link is about: `companies` are those that the token covers, `primary` among them."""

    companies: list[Company]
    primary: Company


def start_registration(*, salon_ids: Sequence[int], user: MarketplaceUser, signed: bool) -> Registration:
    """Create or update the salons' rows and give them one session to link.

    Raises BadSalons, NotInstalling, InstallationUnverified.
    """
    raise InstallationUnverified
