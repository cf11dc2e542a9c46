"""The address of a client behind our own reverse proxies."""

import ipaddress
from collections.abc import Iterable

from django.conf import settings
from django.http import HttpRequest

UNKNOWN = "unknown"


def request_address(request: HttpRequest) -> str:
    """As `client_address`, of a request to a Django view."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return client_address(peer=request.META.get("REMOTE_ADDR", ""), forwarded_for=[forwarded])


def client_address(*, peer: str, forwarded_for: Iterable[str]) -> str:
    """Return the address that limits are counted for.

    `peer` is the other end of the connection; `forwarded_for` are the values of all X-Forwarded-For
    headers in their order. Each of our TRUSTED_PROXIES appended one entry at the right end; whatever
    stands left of those was written by the client and proves nothing. IPv6 is cut to its /64, of which
    a client has all addresses.
    """
    hops = [part.strip() for value in forwarded_for for part in value.split(",") if part.strip()]
    trusted = settings.TRUSTED_PROXIES
    claimed = hops[-trusted] if trusted and len(hops) >= trusted else peer
    return _bucket(claimed) or _bucket(peer) or UNKNOWN


def _bucket(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
