"""Whose bearer key a request of the operator endpoint carries."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from marketplace.notifications import salons
from marketplace.notifications.salons import Salon
from marketplace.yclients.signing import is_placeholder_token
from whatsapp.crypto.encryption import lookup_digests


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks: one salon by its key, as it was read with it, or YClients itself by the partner token,
    with `salon` None."""

    salon: Salon | None

    @property
    def salon_id(self) -> int | None:
        """YClients' number of the salon."""
        return self.salon.salon_id if self.salon else None


def senders_of(keys: Iterable[str]) -> dict[str, Sender]:
    """Return the senders of these keys, without those that are nobody's; one query.

    Keys of uninstalled salons are destroyed. A salon's key is found by its keyed digest, so that the time of
    the search tells nothing about other keys.
    """
    found: dict[str, Sender] = {}
    digests: dict[str, str] = {}
    for key in {*keys}:
        if not key or not key.isascii():
            continue
        if _is_partner_token(key):
            found[key] = Sender(salon=None)
        else:
            digests |= dict.fromkeys(lookup_digests(key), key)
    return found | {digests[digest]: Sender(salon) for digest, salon in salons.by_key_digest(digests).items()}


def _is_partner_token(key: str) -> bool:
    ours = settings.YCLIENTS_PARTNER_TOKEN
    return hmac.compare_digest(key.encode(), ours.encode()) and not is_placeholder_token(ours)
