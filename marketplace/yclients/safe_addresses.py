"""Which addresses we post to: YClients' and Altegio's own with statuses, any public host with what a salon
wants forwarded to itself; and which IP addresses are of the open internet. Asks no name server.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

from marketplace.yclients.redirects import OWN_DOMAINS

MAX_URL = 2000
# Parsers disagree about spaces, controls, backslashes and letters of other alphabets, so none may occur.
PLAIN = re.compile(r"[!#-\[\]-~]+", re.ASCII)
AUTHORITY = re.compile(
    r"(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)
PORTS = {"https": 443, "http": 80}
LOOPBACK = ("127.0.0.1", "[::1]", "localhost")

SPECIAL_NETWORKS = [
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # protocols' own, of which Python calls some global
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # Teredo and other protocols' own
        "2002::/16",  # 6to4, which wraps any IPv4 address
        "3fff::/20",  # documentation
    )
]
# Everything else in IPv6 is private, special, or wraps an IPv4 address (mapped, compatible, NAT64).
GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")


class AddressRefused(Exception):
    """The address is not one that we send to; the text says why, without the address."""


@dataclass(frozen=True, slots=True)
class Target:
    """An allowed address; `own_network`: the settings name its host, so it may be a private one."""

    scheme: str
    host: str
    port: int
    path: str
    own_network: bool


def check(url: str) -> Target:
    """Return where `url` leads when it is YClients' or Altegio's own; asks no name server.

    Raises AddressRefused.
    """
    scheme, host, port, path = _parsed(url)
    platform = scheme == "https" and port == 443 and _is_platform(host)
    if not platform and (scheme, host, port) != _named_by_settings():
        raise AddressRefused("its host is not one of YClients")
    return Target(scheme, host, port, path, own_network=not platform)


def check_public(url: str) -> Target:
    """Return where a salon's own address leads: any host by https, and by a sandbox to this machine too.

    Asks no name server. Raises AddressRefused.
    """
    scheme, host, port, path = _parsed(url)
    here = settings.WHATSAPP_SANDBOX and host in LOOPBACK
    if scheme != "https" and not here:
        raise AddressRefused("it is not an https address")
    if not here and _is_private_literal(host):
        raise AddressRefused("its host lies in a private network")
    return Target(scheme, host, port, path, own_network=here)


def _parsed(url: str) -> tuple[str, str, int, str]:
    if len(url) > MAX_URL or not PLAIN.fullmatch(url):
        raise AddressRefused("it is too long or holds unusual characters")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise AddressRefused("it is not an address") from error
    scheme, authority = parts.scheme.lower(), AUTHORITY.fullmatch(parts.netloc.lower())
    if scheme not in PORTS or authority is None:
        raise AddressRefused("it is not a plain http or https address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return scheme, authority["host"], int(authority["port"] or PORTS[scheme]), path


def _is_private_literal(host: str) -> bool:
    """A private IP address instead of a name; names are judged when they are resolved."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return not is_public(host.strip("[]"))


def is_public(address: str) -> bool:
    """True for an IP address of the open internet, on which YClients can stand."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.is_multicast or ip.is_reserved or not ip.is_global:
        return False
    if any(ip in network for network in SPECIAL_NETWORKS):
        return False
    return ip.version == 4 or ip in GLOBAL_IPV6


def _is_platform(host: str) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in OWN_DOMAINS)


def _named_by_settings() -> tuple[str, str, int]:
    named = urlsplit(settings.YCLIENTS_API_URL.lower())
    host = named.hostname or ""
    written = f"[{host}]" if ":" in host else host
    return named.scheme, written, named.port or PORTS.get(named.scheme, 0)
