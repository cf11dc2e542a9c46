"""The sending side of a signed marketplace link (YCLIENTS API reference, Marketplace).

Written separately from the service's own verification on purpose: two sides of one wire that share code
would agree on a mistake.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import urlencode

Signature = Literal["valid", "wrong", "none"]


def encode_user_data(user: Mapping[str, object]) -> str:
    """Base64 (standard alphabet, padded) of compact UTF-8 JSON."""
    text = json.dumps(user, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(text.encode()).decode()


def sign_user_data(user_data: str, partner_token: str) -> str:
    """Lower-case hex HMAC-SHA256 over the decoded bytes: live traffic signs those, not the base64 text."""
    message = base64.b64decode(user_data, validate=True)
    return hmac.new(partner_token.encode(), message, hashlib.sha256).hexdigest()


def connect_url(
    *,
    product_url: str,
    partner_token: str,
    salon_ids: Sequence[int],
    user: Mapping[str, object],
    signature: Signature = "valid",
) -> str:
    """Where the marketplace sends the browser after "Connect".

    One salon travels as `salon_id`, several as `salon_ids[0]`, `salon_ids[1]`, … The salon numbers are not
    covered by the signature, as at YCLIENTS.
    """
    if len(salon_ids) == 1:
        query: list[tuple[str, str]] = [("salon_id", str(salon_ids[0]))]
    else:
        query = [(f"salon_ids[{index}]", str(salon_id)) for index, salon_id in enumerate(salon_ids)]
    if signature != "none":
        user_data = encode_user_data(user)
        key = partner_token if signature == "valid" else partner_token + "-forged"
        query += [("user_data", user_data), ("user_data_sign", sign_user_data(user_data, key))]
    return f"{product_url}/auth/yclients/redirect?{urlencode(query)}"
