"""Bodies of webhooks: read strictly, and cleaned so that they can be kept. Pure functions.

The database keeps no NUL character, no half of a surrogate pair and no infinite number; secrets have no
business in a stored body.
"""

import hashlib
import json
import math
from functools import lru_cache
from typing import Any

from config.shared.masking import is_secret_name
from config.shared.storable import UNSTORABLE

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
HIDDEN = "[removed]"


class BadBody(ValueError):
    """The body is not a JSON object that can be kept; the text says why, in words for the sender."""


def read(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`. Raises BadBody."""
    if not raw.strip():
        raise BadBody("The body is empty.")
    try:
        body: Any = DECODER.decode(raw.decode(json.detect_encoding(raw), "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise BadBody("The body is not JSON.") from error
    if not isinstance(body, dict):
        raise BadBody("The body is not a JSON object.")
    # Few brackets cannot be nested deeply, and cost nothing to count.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth_exceeds(body, MAX_DEPTH):
        raise BadBody("The body is nested too deeply.")
    return body


def clean(value: Any, *, secret: str = "") -> Any:
    """Return a copy that can be stored, without fields that hold secrets and without `secret` anywhere."""
    if isinstance(value, dict):
        return {
            _text(key, secret): clean(item, secret=secret)
            for key, item in value.items()
            if not _is_secret_name(key)
        }
    if isinstance(value, list):
        return [clean(item, secret=secret) for item in value]
    return _text(value, secret) if isinstance(value, str) else value


# Senders repeat their names; the cache holds no more than a few hundred kilobytes of them.
@lru_cache(maxsize=1024)
def _is_known_secret_name(name: str) -> bool:
    return is_secret_name(name)


def _is_secret_name(name: str) -> bool:
    return _is_known_secret_name(name) if len(name) <= 64 else is_secret_name(name)


def digest(value: Any) -> str:
    """Return a hash of a cleaned value that does not depend on the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _text(text: str, secret: str) -> str:
    if secret and secret in text:
        text = text.replace(secret, HIDDEN)
    if text.isascii() and "\x00" not in text:
        return text
    return UNSTORABLE.sub("\ufffd", text)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _depth in range(limit):
        level = [
            item
            for parent in level
            for item in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True
