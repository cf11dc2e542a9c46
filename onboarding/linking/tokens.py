"""The onboarding token: a JWT by which a page has power over exactly its own salons, for one hour."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenError
from rest_framework_simplejwt.tokens import Token

from marketplace.models import Company

LIFETIME = timedelta(hours=1)
MAX_LENGTH = 4096  # characters; ours have about 300, and 15 more for each further salon


class InvalidToken(Exception):
    """The token is missing, malformed, forged, of another kind, or expired."""


class RegistrationToken(Token):
    """HS256 with JWT_SECRET, and no other algorithm, whatever the token's own header says."""

    token_type = "marketplace_registration"  # noqa: S105
    lifetime = LIFETIME

    @property
    def token_backend(self) -> TokenBackend:
        return _Backend("HS256", signing_key=settings.JWT_SECRET)


class _Backend(TokenBackend):
    """Signs with one key and reads the old ones too, while a new one takes over."""

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Raises TokenBackendError."""
        try:
            return super().decode(token, verify)
        except TokenBackendError:
            for key in settings.JWT_SECRET_FALLBACKS:
                with suppress(TokenBackendError):
                    return TokenBackend("HS256", signing_key=key).decode(token, verify)
            raise


@dataclass(frozen=True, slots=True)
class Registrant:
    """Whom a token speaks for. `company_id` is our key, `salon_id` is YClients' number: never mix them."""

    company_id: int
    salon_id: int
    salon_ids: tuple[int, ...]  # every salon of the registration, salon_id among them
    issued_at: datetime
    expires_at: datetime
    holder: str | None = None  # `ownership.digest_of` the visitor, empty for an unsigned one; see `verify`
    access_request: int | None = None  # of somebody who opened the salon's one-time link

    @property
    def session_name(self) -> str:
        """How the HTTP API calls this token's session."""
        return f"company_{self.salon_id}"


def issue(
    *,
    company: Company,
    companies: list[Company],
    holder: str | None = None,
    access_request: int | None = None,
) -> str:
    """Return a token over `companies`: those of them that share the WhatsApp session of `company`."""
    token = RegistrationToken()
    token["company_id"] = company.pk
    token["salon_id"] = company.salon_id
    token["salon_ids"] = sorted({company.salon_id, *(each.salon_id for each in companies)})
    if holder is not None:
        token["holder"] = holder
    if access_request is not None:
        token["access_request"] = access_request
    return str(token)


def verify(token: str) -> Registrant:
    """Return whom `token` speaks for; raise InvalidToken.

    A token without `salon_ids` covers its `salon_id` alone. One without `holder` was issued before salons had
    owners; nobody but us can make one, and it dies within the hour.
    """
    if not token or len(token) > MAX_LENGTH or not token.isascii():
        raise InvalidToken("no token, or not one of ours")
    try:
        claims = RegistrationToken(token).payload  # type: ignore[arg-type]  # takes the encoded text
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        issued_at = datetime.fromtimestamp(claims["iat"], UTC) if "iat" in claims else expires_at - LIFETIME
    except (TokenError, ValueError, TypeError, OverflowError) as error:
        raise InvalidToken("forged, expired or of another kind") from error
    company_id: Any = claims.get("company_id")
    salon_id: Any = claims.get("salon_id")
    salon_ids = claims.get("salon_ids") or [salon_id]
    if not isinstance(salon_ids, list) or not all(map(_is_key, [company_id, salon_id, *salon_ids])):
        raise InvalidToken("claims are not numbers")
    if salon_id not in salon_ids:
        raise InvalidToken("salon_id is not among salon_ids")
    holder, access_request = claims.get("holder"), claims.get("access_request")
    if not isinstance(holder, str | None) or not (access_request is None or _is_key(access_request)):
        raise InvalidToken("claims of a person are malformed")
    return Registrant(company_id, salon_id, tuple(salon_ids), issued_at, expires_at, holder, access_request)


def _is_key(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63
