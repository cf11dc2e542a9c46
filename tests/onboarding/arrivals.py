"""Links from the marketplace as tests make them: signed user data, and the visit."""

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from onboarding.linking import tokens
from tests.environment import PARTNER_TOKEN


def sign(data: dict[str, Any] | bytes, key: str = PARTNER_TOKEN) -> dict[str, str]:
    """`user_data` and its signature, as query parameters."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    signature = hmac.new(key.encode(), raw, hashlib.sha256).hexdigest()
    return {"user_data": base64.b64encode(raw).decode(), "user_data_sign": signature}


def come(query: str | dict[str, Any], **headers: str) -> Any:
    """Visit the redirect address; the answer's words are English unless `headers` say otherwise."""
    text = query if isinstance(query, str) else urlencode(query)
    return Client().get(f"/auth/yclients/redirect?{text}", headers=headers or {"Accept-Language": "en"})


def token_of(response: Any) -> tokens.Registrant:
    """Whom the token of a successful visit speaks for."""
    assert response.status_code == 302, response.content.decode()
    address, _, token = response["Location"].partition("?token=")
    assert address == "/marketplace/onboarding"
    return tokens.verify(token)


def signed_link(base: str, salon_id: int, user: dict[str, Any], *, key: str = PARTNER_TOKEN) -> str:
    """The whole link of a user for a salon, at a running product."""
    return f"{base}/auth/yclients/redirect?{urlencode({'salon_id': salon_id, **sign(user, key)})}"
