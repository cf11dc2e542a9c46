"""Who may open the live channel, decided from the handshake alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from config.shared import addresses
from onboarding.linking import tokens
from onboarding.linking.tokens import Registrant
from onboarding.live import throttle
from onboarding.rendering import languages, origins

log = structlog.get_logger("onboarding")

PROTOCOL = "marketplace.v1"
TOKEN_PREFIX = "jwt."  # noqa: S105

BAD_TOKEN, FOREIGN_ORIGIN, TOO_MANY = 4401, 4403, 4429


class Refused(Exception):
    """The connection is not let in; `code` is the close code that tells why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client said when it opened a WebSocket."""

    origin: str | None
    address: str
    token: str
    speaks_protocol: bool  # it offered `marketplace.v1`: it understands our close codes
    language: str


def read(scope: dict[str, Any]) -> Handshake:
    """Read an ASGI WebSocket scope. The query string says nothing but the language of the page."""
    headers: list[tuple[bytes, bytes]] = scope.get("headers", [])
    offered: list[str] = scope.get("subprotocols") or []
    origins_sent = _values(headers, b"origin")
    return Handshake(
        origin=",".join(origins_sent) if origins_sent else None,
        address=addresses.client_address(
            peer=(scope.get("client") or [""])[0], forwarded_for=_values(headers, b"x-forwarded-for")
        ),
        token=_token(offered, _values(headers, b"authorization")),
        speaks_protocol=PROTOCOL in offered,
        language=languages.choose(
            wanted=languages.of_query(scope.get("query_string", b"")),
            accept_language=",".join(_values(headers, b"accept-language")),
        ),
    )


async def admit(handshake: Handshake) -> Registrant:
    """Return whom the client speaks for, or raise Refused.

    A missing Origin is no browser's, and the token is no cookie that a foreign page could make a browser
    send. Attempts are counted before the token is looked at, so that guessing is limited too.
    """
    if handshake.origin is not None and not origins.is_allowed(handshake.origin):
        raise Refused(FOREIGN_ORIGIN, "foreign origin")
    if not await throttle.may_connect(handshake.address):
        raise Refused(TOO_MANY, "too many connections")
    try:
        return tokens.verify(handshake.token)
    except tokens.InvalidToken as error:
        raise Refused(BAD_TOKEN, str(error)) from error


def _token(offered: list[str], authorization: list[str]) -> str:
    if PROTOCOL in offered:  # a browser cannot set headers on a WebSocket
        found = [name for name in offered if name.startswith(TOKEN_PREFIX)]
        if found:
            return found[0].removeprefix(TOKEN_PREFIX)
    scheme, _space, token = (authorization or [""])[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]
