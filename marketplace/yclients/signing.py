"""YClients' signed `user_data`: decoding and verification. Pure functions, no database, no settings.

Source: YCLIENTS API reference, section Marketplace, and live traffic, which settled that the HMAC is
taken over the bytes after base64 decoding and not over the base64 text.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

MAX_USER_DATA = 8 * 1024
PLACEHOLDERS = (
    "test_token_waiting",
    "placeholder",
    "changeme",
    "change_me",
    "change-me",
    "your_",
    "your-",
    "xxx",
)


class BadUserData(ValueError):
    """`user_data` is not base64 of a JSON object."""


class BadSignature(ValueError):
    """`user_data_sign` is missing or was not made with our partner token."""


@dataclass(frozen=True, slots=True)
class MarketplaceUser:
    """Who pressed "Connect": every field may be empty."""

    id: str = ""
    name: str = ""
    phone: str = ""
    email: str = ""
    salon_name: str = ""


def is_placeholder_token(token: str) -> bool:
    """True for a missing partner token and for texts like `test_token_waiting_for_real`."""
    lowered = token.strip().lower()
    return (
        not lowered
        or any(lowered.startswith(start) for start in PLACEHOLDERS)
        or lowered.endswith("for_real")
    )


def decode_base64(text: str) -> bytes:
    """Decode standard or URL-safe base64 with or without padding; a `+` may have arrived as a space.

    Raises BadUserData.
    """
    if len(text) > MAX_USER_DATA:
        raise BadUserData("user_data is too long")
    standard = text.strip("\r\n\t").replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadUserData("user_data is not base64") from error


def verify(*, user_data: str, signature: str, partner_token: str) -> bytes:
    """Return the decoded bytes when `signature` is their HMAC-SHA256 in hex; else raise BadSignature.

    Raises BadUserData when `user_data` cannot be decoded.
    """
    decoded = decode_base64(user_data)
    expected = hmac.new(partner_token.encode(), decoded, hashlib.sha256).hexdigest()
    given = signature.strip().lower().encode("utf-8", "replace")
    if not hmac.compare_digest(expected.encode(), given):
        raise BadSignature("user_data_sign does not match user_data")
    return decoded


def parse_user(decoded: bytes) -> MarketplaceUser:
    """Read the decoded JSON. Keys seen: `user_id` or `id`, name, email, phone, salon_name; any may be null.

    Raises BadUserData.
    """
    try:
        data: Any = json.loads(decoded.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadUserData("user_data is not JSON in UTF-8") from error
    if not isinstance(data, dict):
        raise BadUserData("user_data is not a JSON object")

    def text(*names: str) -> str:
        for name in names:
            value = data.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                return str(value).replace("\x00", "")[:255]
        return ""

    return MarketplaceUser(
        id=text("user_id", "id"),
        name=text("name"),
        phone=text("phone"),
        email=text("email"),
        salon_name=text("salon_name"),
    )
