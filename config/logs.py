"""Log lines for operators: JSON (or coloured text in development), phones masked, secrets never.

Masking is the last step before rendering and works on every value of every line, those of libraries
and tracebacks included, so that a forgotten call site cannot leak.
"""

import logging
import logging.config
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

SECRET_NAMES = re.compile(
    r"token|secret|api_?key|password|authorization|cookie|signature|user_data|noise|ciphertext|"
    r"(^|_)(jwt|qr|code|text)$",
    re.IGNORECASE,
)
NOT_SECRET = frozenset({"error_code", "status_code", "http_status", "lease_token"})
MASKS = (
    (re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"), "[jwt]"),
    (re.compile(r"(?i)bearer\s+[\w.~+/=-]{6,}"), "Bearer [hidden]"),
    (
        re.compile(
            r"(?i)\b(partner_token|api_key|token|user_data_sign|user_data|secret)"
            r"(['\"]?\s*[=:]\s*['\"]?)[^\s'\"&,}]+"
        ),
        r"\1\2[hidden]",
    ),
    (re.compile(r"/webhook/yclients/[\w-]{8,}"), "/webhook/yclients/[hidden]"),
    (re.compile(r"https://wa\.me/settings/linked_devices#\S+"), "[qr]"),
    (re.compile(r"(://[^:/@\s]+:)[^@\s]+@"), r"\1[hidden]@"),  # passwords in database and Redis addresses
)
# A phone: 10 to 15 digits, perhaps with a plus and separators; not part of a longer word, hex or decimal.
PHONE = re.compile(
    r"(?<![\w.:-])\+?\d[\d ()-]{8,18}\d(?![\w:-])|(?<![\w.-])\d{10,15}(?=[@:]\S*(?:whatsapp|lid))"
)


def mask_phone(phone: str) -> str:
    """`+79990001122` → `+7999*****22`: enough to tell two salons apart, not enough to call."""
    digits = re.sub(r"\D", "", phone)
    if len(digits) < 10:
        return phone
    return f"{'+' if phone.startswith('+') else ''}{digits[:4]}{'*' * (len(digits) - 6)}{digits[-2:]}"


def _mask_match(match: re.Match[str]) -> str:
    found = match.group()
    # Dates like 2025-07-13 12 also consist of digits and separators.
    if re.match(r"\d{4}-\d\d-\d\d", found) or not 10 <= len(re.sub(r"\D", "", found)) <= 15:
        return found
    return mask_phone(found)


def hide_secrets(text: str) -> str:
    """Return `text` with secrets replaced and phones as they are."""
    for pattern, replacement in MASKS:
        text = pattern.sub(replacement, text)
    return text


def mask_text(text: str) -> str:
    """Return `text` with secrets and phones replaced."""
    return PHONE.sub(_mask_match, hide_secrets(text))


def _mask_value(name: str, value: Any) -> Any:
    if SECRET_NAMES.search(name) and name not in NOT_SECRET and value not in (None, "", False, True):
        return "[hidden]"
    if "phone" in name.lower() and isinstance(value, str | int):
        return mask_phone(str(value))
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return {str(key): _mask_value(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_mask_value("", item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return mask_text(str(value))


def mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: mask every value of a line."""
    return {
        name: value
        if name in ("timestamp", "level", "logger", "request_id", "session")
        else _mask_value(name, value)
        for name, value in event.items()
    }


def scrub_sentry_event(event: Any, _hint: Any) -> Any:
    """Sentry's last step: the same masking as for log lines, and no request details at all."""
    event.pop("request", None)
    return {name: _mask_value(name, value) for name, value in event.items()}


def logging_settings(level: str, *, pretty: bool) -> dict[str, Any]:
    """Return a dictConfig that sends all loggers through one masking formatter to stderr."""
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],  # type: ignore[list-item]
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer = (
        structlog.dev.ConsoleRenderer(colors=False)
        if pretty
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    mask_event,
                    renderer,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Each would say again what our own lines say, or print whole addresses with their query.
            "daphne": {"level": "WARNING"},
            "django.channels.server": {"level": "WARNING"},
            "django.request": {"level": "ERROR"},
            "urllib3": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
        },
    }
    logging.config.dictConfig(config)
    return config


log = structlog.get_logger("web")
QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/marketplace/health"})


class RequestLogMiddleware:
    """One line for each request: id, method, path without its query, status, milliseconds."""

    async_capable = True
    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        started = self._begin()
        if self.is_async:
            return self._answer_async(request, started)
        response: HttpResponse = self.get_response(request)
        return self._end(request, response, started)

    async def _answer_async(self, request: HttpRequest, started: float) -> HttpResponse:
        return self._end(request, await self.get_response(request), started)

    @staticmethod
    def _begin() -> float:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=uuid.uuid4().hex[:12])
        return time.monotonic()

    @staticmethod
    def _end(request: HttpRequest, response: HttpResponse, started: float) -> HttpResponse:
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        write = log.debug if request.path in QUIET_PATHS else log.info
        write(
            "request", method=request.method, path=request.path, status=response.status_code, ms=milliseconds
        )
        return response
