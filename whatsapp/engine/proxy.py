"""Addresses of outgoing proxies. They may hold a user and a password, so only `host_of` is for showing."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

# What Go's net/http takes from HTTPS_PROXY: https://pkg.go.dev/net/http#ProxyFromEnvironment
SCHEMES = ("http", "https", "socks5")


class InvalidProxy(ValueError):
    """The text is no proxy's address; the message says why and does not repeat it."""


def host_of(url: str) -> str:
    """`host:port`, or the host alone where no port is given. Raises InvalidProxy."""
    parts = _split(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port}" if parts.port else host


def exposes_password(url: str) -> bool:
    """Whether a login crosses a network unencrypted on its way to the proxy. Raises InvalidProxy."""
    parts = _split(url)
    if parts.scheme == "https" or not (parts.username or parts.password):
        return False
    host = parts.hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _split(url: str) -> SplitResult:
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        raise InvalidProxy("it holds a space or a control character")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise InvalidProxy("its host or port cannot be read") from None
    if parts.scheme not in SCHEMES:
        raise InvalidProxy("it must begin with http://, https:// or socks5://")
    if not host or port == 0:
        raise InvalidProxy("it names no host or a port that cannot be")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidProxy("something follows the host; write / ? # in a password as %2F %3F %23")
    return parts
