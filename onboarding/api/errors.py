"""Errors of the page's HTTP API in the shape that CONTRACT 2.6 gives: a sentence and a machine word."""

from typing import Any

import django.db
import structlog
from django.core.exceptions import RequestDataTooBig
from rest_framework import exceptions
from rest_framework.response import Response

from config.shared.thread_budgets import RETRY_AFTER, BudgetUsedUp
from onboarding.linking import words
from onboarding.linking.token_scope import Disputed, TokenRevoked

log = structlog.get_logger("onboarding")

# What the framework, the database and our own rooms raise, by status and machine word.
KNOWN: tuple[tuple[type[Exception], int, str], ...] = (
    (exceptions.NotAuthenticated, 401, "invalid_token"),
    (exceptions.AuthenticationFailed, 401, "invalid_token"),
    (exceptions.MethodNotAllowed, 405, "method_not_allowed"),
    (exceptions.UnsupportedMediaType, 415, "unsupported_media_type"),
    (exceptions.ParseError, 400, "bad_json"),
    (RequestDataTooBig, 413, "too_large"),
    (TokenRevoked, 401, "no_power"),
    (Disputed, 409, "disputed"),
    (BudgetUsedUp, 503, "unavailable"),
    (django.db.Error, 503, "unavailable"),
)


class ApiError(Exception):
    """An answer other than success: an HTTP status, a machine word, and a sentence for a person."""

    def __init__(
        self, status: int, code: str, *, error: str = "", retry_after: int = 0, **extra: Any
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.error = status, code, error
        self.retry_after, self.extra = retry_after, extra

    def body(self) -> dict[str, Any]:
        """`{"success": false, "error": sentence, "code": word}` and the extra fields."""
        sentence = self.error or words.problem(self.code)
        body = {"success": False, "error": sentence, "code": self.code, **self.extra}
        return {**body, "retry_after": self.retry_after} if self.retry_after else body  # seconds

    def headers(self) -> dict[str, str]:
        """`Retry-After` and `WWW-Authenticate` where they belong."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return {**headers, "WWW-Authenticate": "Bearer"} if self.status == 401 else headers


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """The exception handler of these views; None for what is no known answer: a fault of ours."""
    known = error if isinstance(error, ApiError) else _known(error)
    if known is None:
        return None
    if isinstance(error, django.db.Error):
        log.error("database does not answer", path=context["request"].path, error=repr(error))
    response = Response(known.body(), status=known.status, headers=known.headers())
    if isinstance(error, exceptions.MethodNotAllowed):
        response["Allow"] = ", ".join(context["view"].allowed_methods)
    return response


def _known(error: Exception) -> ApiError | None:
    for kind, status, code in KNOWN:
        if isinstance(error, kind):
            return ApiError(status, code, retry_after=RETRY_AFTER if status == 503 else 0)
    return None
