"""Which web pages may open the live channel, and which may frame our page."""

import ipaddress
import re
from urllib.parse import urlsplit

from django.conf import settings

# A salon's own address is a number with an `n`; `app` is where Altegio's administrators work.
PLATFORMS = re.compile(
    r"https://(?:(?:n\d{1,12}\.)?yclients\.com|(?:(?:n\d{1,12}|app)\.)?alteg\.io)", re.ASCII
)

FRAME_ANCESTORS = [
    "https://yclients.com",
    "https://*.yclients.com",
    "https://alteg.io",
    "https://*.alteg.io",
]


def is_allowed(origin: str) -> bool:
    """True for our own origin and those of YClients and Altegio; in development for this machine's too.

    `origin` is the header's text, such as `https://n123.yclients.com`. `null`, which a sandboxed frame
    sends, is foreign.
    """
    return (
        _canonical(origin) == _canonical(settings.BASE_URL) != ""
        or PLATFORMS.fullmatch(origin) is not None
        or (settings.DEBUG and _is_loopback(origin))
    )


def _canonical(address: str) -> str:
    """`scheme://host:port` with the port always said; empty for what is not an http address."""
    try:
        parts = urlsplit(address.lower())
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname and port else ""


def _is_loopback(origin: str) -> bool:
    if not _canonical(origin):
        return False
    host = urlsplit(origin).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
