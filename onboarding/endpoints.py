"""What every JSON address of the page shares: one shape of errors, limits on bodies, bearer tokens."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

import django.db
import structlog
from asgiref.sync import iscoroutinefunction
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from onboarding import tokens, words
from onboarding.token_scope import Disputed, TokenRevoked
from onboarding.tokens import Registrant

log = structlog.get_logger("onboarding")

MAX_BODY = 64 * 1024  # bytes


class ApiError(Exception):
    """An answer other than success: an HTTP status, a machine word, and a sentence for a person."""

    def __init__(
        self, status: int, code: str, *, error: str = "", retry_after: int = 0, **extra: Any
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.error = status, code, error
        self.retry_after, self.extra = retry_after, extra

    def response(self) -> JsonResponse:
        """`{"success": false, "error": sentence, "code": word}` and the extra fields."""
        sentence = self.error or words.problem(self.code)
        body = {"success": False, "error": sentence, "code": self.code, **self.extra}
        headers = {}
        if self.retry_after:
            body["retry_after"] = self.retry_after  # seconds
            headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JsonResponse(body, status=self.status, headers=headers)


KNOWN_ERRORS = (ApiError, TokenRevoked, Disputed, django.db.Error)


def endpoint(method: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a view, sync or async, an address that takes `method` only and answers errors in JSON.

    No CSRF check: the bearer token is no cookie that a foreign page could make a browser send.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        async def answer_async(request: HttpRequest, **parts: Any) -> HttpResponse:
            try:
                _check_method(request, method)
                return _finish(await view(request, **parts))
            except KNOWN_ERRORS as error:
                return _finish(_explain(request, error), method)

        @wraps(view)
        def answer(request: HttpRequest, **parts: Any) -> HttpResponse:
            try:
                _check_method(request, method)
                return _finish(view(request, **parts))
            except KNOWN_ERRORS as error:
                return _finish(_explain(request, error), method)

        return csrf_exempt(answer_async if iscoroutinefunction(view) else answer)

    return decorate


def _explain(request: HttpRequest, error: Exception) -> HttpResponse:
    if isinstance(error, ApiError):
        return error.response()
    if isinstance(error, TokenRevoked):
        return ApiError(401, "no_power").response()
    if isinstance(error, Disputed):
        return ApiError(409, "disputed").response()
    log.error("database does not answer", path=request.path, error=repr(error))
    return ApiError(503, "unavailable", retry_after=5).response()


def _check_method(request: HttpRequest, method: str) -> None:
    if request.method != method:
        raise ApiError(405, "method_not_allowed")


def _finish(response: HttpResponse, method: str = "") -> HttpResponse:
    response["Cache-Control"] = "no-store"
    if response.status_code == 405:
        response["Allow"] = method
    return response


def bearer(request: HttpRequest) -> Registrant:
    """Return whom the Authorization header speaks for; raise ApiError 401."""
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise ApiError(401, "invalid_token")
    return verified(token.strip())


def verified(token: str) -> Registrant:
    """Return whom the token speaks for; raise ApiError 401."""
    try:
        return tokens.verify(token)
    except tokens.InvalidToken as error:
        log.info("token refused", reason=str(error))
        raise ApiError(401, "invalid_token") from error


def json_body(request: HttpRequest) -> dict[str, Any]:
    """Return the body's JSON object, an empty one for no body; raise ApiError 400, 413 or 415."""
    try:
        if int(request.headers.get("Content-Length") or 0) > MAX_BODY:
            raise ApiError(413, "too_large")
        body = request.body
    except ValueError as error:
        raise ApiError(400, "bad_json") from error
    except RequestDataTooBig as error:
        raise ApiError(413, "too_large") from error
    except UnreadablePostError as error:
        raise ApiError(400, "bad_json") from error
    if len(body) > MAX_BODY:
        raise ApiError(413, "too_large")
    if not body:
        return {}
    if request.content_type != "application/json":
        raise ApiError(415, "unsupported_media_type")
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "bad_json") from error
    if not isinstance(parsed, dict):
        raise ApiError(400, "bad_json")
    return parsed
