"""Log lines for operators: JSON (or coloured text in development), phones masked, secrets never.

Masking is the last step before rendering and works on every value of every line, those of libraries
and tracebacks included, so that a forgotten call site cannot leak.
"""

import logging
import logging.config
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from config.shared.masking import hide_values, mask_value


def mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: mask every value of a line."""
    return {
        name: value if name in ("timestamp", "level", "logger", "request_id") else mask_value(name, value)
        for name, value in event.items()
    }


def logging_settings(level: str, *, pretty: bool, secrets: Iterable[str] = ()) -> dict[str, Any]:
    """Return a dictConfig that sends all loggers through one masking formatter to stderr.

    `secrets` are the process's own, which then appear in no line whatever they are called there.
    """
    hide_values(secrets)
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
