"""What nobody may read in a log line, an error report or a support page: secrets at all, phones in full.

Pure functions on text. They err on the side of hiding, but leave dates, ids and timestamps readable, because
a log that cannot be read protects nobody.
"""

import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

SECRET_NAMES = re.compile(
    r"token|secret|api_?key|password|authorization|cookie|signature|user_data|noise|ciphertext|"
    r"encryption_key|dsn|(^|_)(jwt|qr|code|text)$",
    re.IGNORECASE,
)
NOT_SECRET = frozenset({"error_code", "status_code", "http_status", "exit_code", "close_code", "lease_token"})
_SHORT_SECRET = 8  # characters; a shorter configured value would also hide ordinary words

_NAMED = (
    r"authorization|[\w-]*(?:token|secret|api[_-]?key|apikey|password|passwd)|user_data_sign|user_data|"
    r"sessionid|encryption_keys?"
)
# Each pair: what gives a secret away, and what is left of it.
_SECRETS = (
    (re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"), "[jwt]"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 [hidden]"),
    (re.compile(r"gAAAAA[\w-]{20,}={0,2}"), "[encrypted]"),
    (re.compile(r"(?<![\w-])[\w-]{43}=(?![\w=-])"), "[key]"),  # 32 bytes in URL-safe base64: a Fernet key
    (re.compile(r"(?i)\b[0-9a-f]{64}\b"), "[key]"),  # 32 bytes in hex: an API key
    (re.compile(r"https://wa\.me/settings/linked_devices#\S+"), "[qr]"),
    (re.compile(r"\b\d@[\w+/=-]{16,}(?:,[\w+/=-]+){2,}"), "[qr]"),
    (re.compile(r"(?i)(pairing.code\W{1,4})[0-9A-Z]{4}-?[0-9A-Z]{4}\b"), r"\1[hidden]"),
    # A name and its value as in a query, JSON, a Python repr, or JSON within a string.
    (
        re.compile(
            rf"(?i)\b(?!lease_token)({_NAMED})(\\*['\"]?\s*[=:]\s*b?)"
            r"(?!\s*(?:None|null|True|False|\[hidden\]|Bearer \[|Basic \[))"
            r"(?:\\?\"[^\"\\]*\\?\"?|\\?'[^'\\]*\\?'?|[^\s'\"&,;}\\]+)"
        ),
        r"\1\2[hidden]",
    ),
    (re.compile(r"/webhook/yclients/[\w-]{8,}"), "/webhook/yclients/[hidden]"),
    (re.compile(r"(://[^:/@\s]*:)[^\s/'\"]+@"), r"\1[hidden]@"),  # passwords in database and Redis addresses
)
_BREAK = r"[ \u00a0\u202f().\u2010-\u2015-]{0,3}"
# A phone of 10 to 15 digits: with a plus and any separators; as Russians write theirs; in a WhatsApp address;
# or digits alone. Not part of a longer word, a decimal or an id; a Unix time of our years, in s or ms, stays.
_PHONE = re.compile(
    rf"(?<![\w+])\+(?:\d{_BREAK}){{9,14}}\d(?!\d)"
    r"|(?<![\w.-])(?:[78][ \u00a0-]?)?\(?\d{3}\)?[ \u00a0-]\d{3}[ \u00a0-]?\d{2}[ \u00a0-]?\d{2}(?![\w-])"
    r"|(?<![\w.-])(?:[78][ \u00a0-]?)?\(\d{3}\)[ \u00a0-]?\d{3}[ \u00a0-]?\d{2}[ \u00a0-]?\d{2}(?![\w-])"
    r"|(?<![\w.-])\d{10,15}(?=(?:\.\d+)?(?::\d+)?@)"
    r"|(?<![\w.-])(?!1[5-9]\d{8}(?!\d)|1[5-9]\d{11}(?!\d))\d{10,15}(?![\w-]|\.\d)"
)
_known: tuple[str, ...] = ()


def hide_values(secrets: Iterable[str]) -> None:
    """From now on also hide these exact values, wherever they appear: the process's own secrets."""
    global _known
    _known = tuple(sorted({each for each in secrets if len(each) >= _SHORT_SECRET}, key=len, reverse=True))


def mask_phone(phone: str) -> str:
    """`+79990001122` → `+7999*****22`: enough to tell two salons apart, not enough to call."""
    digits = re.sub(r"\D", "", phone)
    if len(digits) < 10:
        return phone
    return (
        f"{'+' if phone.lstrip().startswith('+') else ''}{digits[:4]}{'*' * (len(digits) - 6)}{digits[-2:]}"
    )


def hide_secrets(text: str) -> str:
    """Return `text` with secrets replaced and phones as they are."""
    for value in _known:
        text = text.replace(value, "[hidden]")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def mask_text(text: str) -> str:
    """Return `text` with secrets and phones replaced."""
    return _PHONE.sub(lambda match: mask_phone(match.group()), hide_secrets(text))


def mask_traceback(error: BaseException, *, most: int) -> str:
    """The end of the error's traceback, at most `most` characters, without secrets and whole phones."""
    return mask_text("".join(traceback.format_exception(error)))[-most:]


def mask_value(name: str, value: Any) -> Any:
    """Return `value`, logged under `name`, with secrets and phones replaced, however deep they lie."""
    if value is None or isinstance(value, bool):
        return value
    if SECRET_NAMES.search(name) and name not in NOT_SECRET and value != "":
        return "[hidden]"
    if isinstance(value, Mapping):
        return {mask_text(str(key)): mask_value(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_value(name, item) for item in value]
    if "phone" in name.lower():
        return mask_phone(str(value))
    if isinstance(value, int | float):
        return value
    return mask_text(str(value))
