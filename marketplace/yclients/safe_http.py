"""POST to an address that a stranger chose, so that it reaches whom it may reach and nothing else.

An address is allowed by its host (`safe_addresses`), resolved once, refused when any of its IP addresses
belongs to a private or special network, and connected to at the very address that was checked, so that a
name which resolves differently a moment later gains nothing. Redirects are not followed, proxies of the
environment are not used, and the answer's body is thrown away. Errors never hold the address: its path is a
secret.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException

import certifi
from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from marketplace.yclients.call_errors import retry_after
from marketplace.yclients.safe_addresses import PORTS, AddressRefused, Target, check, check_public, is_public

__all__ = ["AddressRefused", "Answer", "Target", "Unreachable", "check", "check_public", "is_public", "post"]

MAX_ADDRESSES = 3
CONNECT_TIMEOUT = 5.0  # seconds, for each IP address
READ_TIMEOUT = 10.0  # between two bytes
TOTAL_TIMEOUT = 20.0  # for everything but the resolving
MAX_ANSWER = 64 * 1024  # bytes

Resolve = Callable[[str, int], list[str]]


class Unreachable(Exception):
    """No answer came; the request may have arrived all the same."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the HTTP status, and the seconds that the other side asks to wait."""

    status: int
    retry_after: float | None


def post(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str] | None = None,
    allowed: Callable[[str], Target] = check,
    resolve: Resolve | None = None,
    trusted: ssl.SSLContext | None = None,
) -> Answer:
    """POST a JSON body and return the answer of whatever status; at most 20 s beside the resolving.

    `allowed` says where the address may lead. `resolve` and `trusted` replace the system's name server and
    the public certificate authorities. Raises AddressRefused, and Unreachable when no whole answer came.
    """
    target = allowed(url)
    addresses = _checked_addresses(target, resolve or _resolve)
    connection = _connect(target, addresses, trusted)
    try:
        with _limited(connection):
            return _exchange(connection, target, body, headers or {})
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        raise Unreachable(f"the connection was lost ({type(error).__name__})") from None
    finally:
        connection.close()


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _checked_addresses(target: Target, resolve: Resolve) -> list[str]:
    """Ask the name server once. One bad address among good ones is an attack or a fault: all are refused."""
    try:
        addresses = resolve(target.host.strip("[]"), target.port)
    except (OSError, UnicodeError) as error:
        raise Unreachable("its name was not resolved") from error
    if not addresses:
        raise Unreachable("its name has no address")
    if not target.own_network and not all(is_public(address) for address in addresses):
        raise AddressRefused("its name leads into a private network")
    return addresses[:MAX_ADDRESSES]


def _connect(target: Target, addresses: list[str], trusted: ssl.SSLContext | None) -> HTTPConnection:
    """Return a connection to the first of the checked addresses that answers. Raises Unreachable."""
    failure = ""
    for address in addresses:
        connection = _connection(target, address, trusted)
        try:
            connection.connect()
        except (HTTPError, OSError, ValueError) as error:  # urllib3's CertificateError is a ValueError
            connection.close()
            failure = type(error).__name__
        else:
            return connection
    raise Unreachable(f"no connection ({failure})")


def _connection(target: Target, address: str, trusted: ssl.SSLContext | None) -> HTTPConnection:
    if target.scheme == "http":
        return HTTPConnection(address, target.port, timeout=CONNECT_TIMEOUT)
    name = target.host.strip("[]")
    return HTTPSConnection(
        address,
        target.port,
        timeout=CONNECT_TIMEOUT,
        cert_reqs="CERT_REQUIRED",
        ca_certs=None if trusted else certifi.where(),
        ssl_context=trusted,
        server_hostname=name,
        assert_hostname=name,
    )


@contextmanager
def _limited(connection: HTTPConnection) -> Iterator[None]:
    """Cut the line after TOTAL_TIMEOUT, because each byte of a slow answer starts READ_TIMEOUT anew."""
    line = connection.sock
    if line is None:
        raise Unreachable("no connection")
    line.settimeout(READ_TIMEOUT)
    timer = threading.Timer(TOTAL_TIMEOUT, _cut, [line])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut(line: socket.socket) -> None:
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        line.close()


def _exchange(connection: HTTPConnection, target: Target, body: bytes, more: Mapping[str, str]) -> Answer:
    usual = target.port == PORTS[target.scheme]
    headers = {
        "Host": target.host if usual else f"{target.host}:{target.port}",
        "Content-Type": "application/json",
        "Accept": settings.YCLIENTS_ACCEPT,
        "Accept-Encoding": "identity",
        "User-Agent": "salon-whatsapp",
        "Connection": "close",
        **more,
    }
    connection.request("POST", target.path, body=body, headers=headers, preload_content=False)
    response = connection.getresponse()
    # Read so that the other side sees a whole exchange, not kept, and not for ever.
    response.read(MAX_ANSWER, decode_content=False)
    return Answer(response.status, retry_after(response.headers.get("Retry-After")))
