"""Answers in the shape of YCLIENTS: `{"success", "data", "meta"}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web


class ApiError(Exception):
    """An API refusal; `errors` are sentences by field name, `headers` go into the answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: Mapping[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = headers


def success(data: Any, *, status: int = 200, meta: Any = None) -> web.Response:
    """A good answer."""
    body = {"success": True, "data": data, "meta": [] if meta is None else meta}
    return web.json_response(body, status=status)


def failure(error: ApiError) -> web.Response:
    """A refusal as YCLIENTS writes it."""
    meta: dict[str, Any] = {"message": error.message}
    if error.errors:
        meta["errors"] = dict(error.errors)
    return web.json_response(
        {"success": False, "data": None, "meta": meta}, status=error.status, headers=error.headers
    )
