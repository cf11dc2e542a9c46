"""Reading JSON bodies and queries field by field, collecting every complaint before answering 422."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from aiohttp import web

from sandbox.yclients.errors import ApiError

MAX_WEBHOOK_URLS = 10
CHANNELS = ("whatsapp", "sms")


async def read_object(request: web.Request) -> dict[str, Any]:
    """The request's JSON object; 400 when it is not one."""
    if request.content_type != "application/json":
        raise ApiError(400, "Ожидается Content-Type: application/json.")
    try:
        body = await request.json()
    except ValueError as error:
        raise ApiError(400, "Тело запроса не является JSON.") from error
    if not isinstance(body, dict):
        raise ApiError(400, "Тело запроса должно быть объектом JSON.")
    return body


class Fields:
    """Typed access to one body or query; `check()` raises when anything was wrong."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        self._source = source
        self.errors: dict[str, list[str]] = {}

    def check(self) -> None:
        """Raise ApiError 422 with all complaints by field."""
        if self.errors:
            raise ApiError(422, "Произошла ошибка валидации.", errors=self.errors)

    def complain(self, name: str, sentence: str) -> None:
        """Add a complaint about a field."""
        self.errors.setdefault(name, []).append(sentence)

    def positive(self, name: str) -> int:
        """A positive whole number, not a string and not a boolean."""
        value = self._source.get(name)
        if not _is_whole(value) or value < 1:
            self.complain(name, "Должно быть целым положительным числом.")
            return 0
        return value

    def positives(self, name: str) -> list[int]:
        """A non-empty list of positive whole numbers."""
        value = self._source.get(name)
        if not isinstance(value, list) or not value or not all(_is_whole(v) and v > 0 for v in value):
            self.complain(name, "Должно быть непустым списком целых положительных чисел.")
            return []
        return value

    def number(self, name: str, *, low: float, high: float | None = None) -> float:
        """A number within bounds, both included."""
        value = self._source.get(name)
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if number is not None and number >= low and (high is None or number <= high):
            return float(number)
        self.complain(name, f"Должно быть числом от {low:g}" + (f" до {high:g}." if high else "."))
        return low

    def text(self, name: str, *, longest: int = 255) -> str:
        """A string that is neither empty nor too long."""
        value = self._source.get(name)
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            self.complain(name, f"Должно быть непустой строкой не длиннее {longest} символов.")
            return ""
        return value

    def flag(self, name: str) -> bool:
        """A JSON boolean."""
        value = self._source.get(name)
        if not isinstance(value, bool):
            self.complain(name, "Должно быть true или false.")
            return False
        return value

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """One of the allowed words."""
        value = self._source.get(name)
        if value not in allowed:
            self.complain(name, "Допустимые значения: " + ", ".join(allowed) + ".")
            return allowed[0]
        return str(value)

    def texts(self, name: str, *, allowed: tuple[str, ...] | None = None) -> list[str]:
        """A non-empty list of non-empty strings, of the allowed words when given."""
        value = self._source.get(name)
        valid = isinstance(value, list) and bool(value) and all(isinstance(v, str) and v for v in value)
        if not valid or (allowed is not None and not set(value or ()) <= set(allowed)):
            hint = f" из значений: {', '.join(allowed)}" if allowed else ""
            self.complain(name, f"Должно быть непустым списком строк{hint}.")
            return []
        return list(value or ())

    def moment(self, name: str) -> str:
        """`YYYY-MM-DD HH:MM:SS`."""
        value = self._source.get(name)
        try:
            datetime.strptime(value if isinstance(value, str) else "", "%Y-%m-%d %H:%M:%S")
        except ValueError:
            self.complain(name, "Должно быть датой в формате ГГГГ-ММ-ДД ЧЧ:ММ:СС.")
        return str(value)

    def webhook_urls(self, name: str = "webhook_urls") -> list[str]:
        """At most ten http(s) addresses; the list may be empty."""
        value = self._source.get(name)
        if not isinstance(value, list) or not all(_is_web_address(v) for v in value):
            self.complain(name, "Должно быть списком адресов http или https.")
            return []
        if len(value) > MAX_WEBHOOK_URLS:
            self.complain(name, f"Не больше {MAX_WEBHOOK_URLS} адресов.")
            return []
        return list(value)


def query_number(
    request: web.Request, name: str, *, default: int | None = None, low: int = 1, high: int | None = None
) -> int:
    """A whole number from the query string; 422 when missing without a default, or out of bounds."""
    raw = request.query.get(name)
    if raw is None and default is not None:
        return default
    if raw is None or not raw.isdecimal() or int(raw) < low or (high is not None and int(raw) > high):
        raise ApiError(
            422,
            "Произошла ошибка валидации.",
            errors={name: ["Должно быть целым числом в допустимых границах."]},
        )
    return int(raw)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_web_address(value: object) -> bool:
    if not isinstance(value, str):
        return False
    parts = urlsplit(value)
    return parts.scheme in ("http", "https") and bool(parts.hostname)
