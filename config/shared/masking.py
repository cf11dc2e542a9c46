"""What nobody may read in a log line, an error report or a support page: secrets at all, phones in full.

Pure functions on text. They err on the side of hiding, but leave dates, ids and timestamps readable, because
a log that cannot be read protects nobody.
"""

import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

_ANYWHERE = r"token|secret|api_?key|password|authorization|signature"
# In a log also what a person wrote or must type, and what stands for a person.
_LOGS_ALSO = r"cookie|user_data|noise|ciphertext|encryption_key|dsn|(?:^|_)(?:jwt|qr|code|text)$"
SECRET_NAMES = re.compile(_ANYWHERE, re.IGNORECASE)
LOG_SECRET_NAMES = re.compile(f"{_ANYWHERE}|{_LOGS_ALSO}", re.IGNORECASE)
NOT_SECRET = frozenset({"error_code", "status_code", "http_status", "exit_code", "close_code", "lease_token"})
HIDDEN = "[hidden]"
MOST_MASKED = 16 * 1024  # characters of one text; what is longer is cut before any pattern sees it
_CUT = " [cut]"
_LONGEST_SECRET = 512  # characters; a text is cut at a space within so many
_SHORT_SECRET = 8  # characters; a shorter configured value would also hide ordinary words

_NAMED = (
    r"authorization|(?<!lease_)token|secret|api[_-]?key|password|passwd|user_data_sign|user_data|"
    r"sessionid|encryption_keys?"
)
# Each pair: what gives a secret away, and what is left of it. Every pattern takes time in proportion to the
# text: it begins once in a run of the characters it repeats, and never gives back what it took ("++", "*+").
_SECRETS = (
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]{8,}+"), "[jwt]"),
    (re.compile(r"(?i)\b(bearer|basic)\s++[\w.~+/=-]{6,}+"), rf"\1 {HIDDEN}"),
    (re.compile(r"gAAAAA[\w-]{20,}+={0,2}"), "[encrypted]"),
    (re.compile(r"(?<![\w-])[\w-]{43}=(?![\w=-])"), "[key]"),  # 32 bytes in URL-safe base64: a Fernet key
    (re.compile(r"(?i)\b[0-9a-f]{64}\b"), "[key]"),  # 32 bytes in hex: an API key
    (re.compile(r"https://wa\.me/settings/linked_devices#\S++"), "[qr]"),
    (re.compile(r"\b\d@[\w+/=-]{16,}+(?:,[\w+/=-]++){2,}+"), "[qr]"),
    (re.compile(r"(?i)(pairing.code\W{1,4})[0-9A-Z]{4}-?[0-9A-Z]{4}\b"), rf"\1{HIDDEN}"),
    # A name's end and its value as in a query, JSON, a Python repr, or JSON within a string.
    (
        re.compile(
            rf"(?i)({_NAMED})(\\*+['\"]?\s*+[=:]\s*+(?:b(?=\\?['\"]))?)"
            r"(?!None|null|True|False|\[hidden\]|Bearer \[|Basic \[)"
            r"(?:\\?\"[^\"\\]*+\\?\"?|\\?'[^'\\]*+\\?'?|[^\s'\"&,;}\\]++)"
        ),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"(?i)(/webhook/yclients/++)(?!\[hidden\])[^\s\"'?&]++"), rf"\1{HIDDEN}"),
    (
        re.compile(r"(://[^:/@\s]*+:)[^\s/'\"]+@"),
        rf"\1{HIDDEN}@",
    ),  # passwords in database and Redis addresses
)
_BREAK = r"[ \u00a0\u202f().\u2010-\u2015-]{0,3}"
# A phone of 10 to 15 digits: with a plus and any separators; as Russians write theirs; in a WhatsApp address;
# or digits alone. Not part of a longer word, a decimal or an id; a Unix time of our years, in s or ms, stays.
_PHONE = re.compile(
    rf"(?<![\w+])\+(?:\d{_BREAK}){{9,14}}\d(?!\d)"
    r"|(?<![\w.-])(?:[78][ \u00a0-]?)?\(?\d{3}\)?[ \u00a0-]\d{3}[ \u00a0-]?\d{2}[ \u00a0-]?\d{2}(?![\w-])"
    r"|(?<![\w.-])(?:[78][ \u00a0-]?)?\(\d{3}\)[ \u00a0-]?\d{3}[ \u00a0-]?\d{2}[ \u00a0-]?\d{2}(?![\w-])"
    r"|(?<![\w.-])\d{10,15}(?=(?:\.\d{1,5})?(?::\d{1,5})?@)"
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


def is_secret_name(name: str) -> bool:
    """A field of this name holds a secret: it is neither stored nor shown."""
    return bool(SECRET_NAMES.search(name[:MOST_MASKED])) and name not in NOT_SECRET


def hide_secrets(text: str) -> str:
    """Return `text`, cut to MOST_MASKED characters, with secrets replaced and phones as they are."""
    text = _cut(text)
    for value in _known:
        text = text.replace(value, HIDDEN)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def mask_text(text: str) -> str:
    """Return `text`, cut to MOST_MASKED characters, with secrets and phones replaced."""
    return _PHONE.sub(lambda match: mask_phone(match.group()), hide_secrets(text))


def mask_excerpt(text: str, most: int) -> str:
    """The masked beginning of `text`, at most `most` characters and an ellipsis where it was cut."""
    masked = mask_text(_cut(text, most + _LONGEST_SECRET))
    return masked if len(masked) <= most else f"{masked[:most].rstrip()}…"


def mask_traceback(error: BaseException, *, most: int) -> str:
    """The end of the error's traceback, at most `most` characters, without secrets and whole phones."""
    lines = "".join(traceback.format_exception(error)).splitlines(keepends=True)
    size = 0
    for first in range(len(lines), 0, -1):  # whole lines: half a secret would not be known as one
        size += len(lines[first - 1])
        if size > MOST_MASKED:
            return mask_text("".join(lines[first:]) or lines[-1])[-most:]
    return mask_text("".join(lines))[-most:]


def mask_value(name: str, value: Any) -> Any:
    """Return `value`, logged under `name`, with secrets and phones replaced, however deep they lie."""
    return _masked(name, value, LOG_SECRET_NAMES, phones=False)


def mask_data(value: Any, *, phones: bool) -> Any:
    """Return JSON-like data for a support page: secrets hidden, phones masked unless `phones`."""
    return _masked("", value, SECRET_NAMES, phones=phones)


def _masked(name: str, value: Any, secret_names: re.Pattern[str], *, phones: bool) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if secret_names.search(name[:MOST_MASKED]) and name not in NOT_SECRET and value != "":
        return HIDDEN
    if isinstance(value, Mapping):
        return {
            mask_text(str(key)): _masked(str(key), item, secret_names, phones=phones)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(name, item, secret_names, phones=phones) for item in value]
    if not phones and "phone" in name.lower():
        return mask_phone(str(value))
    if isinstance(value, int | float):
        return value
    return hide_secrets(str(value)) if phones else mask_text(str(value))


def _cut(text: str, most: int = MOST_MASKED) -> str:
    """At most `most` characters. The last word goes too: half a secret would not be known as one."""
    if len(text) <= most:
        return text
    head = text[: most - len(_CUT)]
    return head[: max(head.rfind(" "), head.rfind("\n"), len(head) - _LONGEST_SECRET)] + _CUT
