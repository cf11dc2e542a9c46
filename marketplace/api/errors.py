"""Errors of the public API as problem details (RFC 9457): `application/problem+json`."""

from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

MEDIA_TYPE = "application/problem+json"


class Problem(APIException):
    """A refusal with a machine word; `detail` is a sentence for the developer who reads it."""

    def __init__(self, status: HTTPStatus, code: str, detail: str) -> None:
        super().__init__(detail, code)
        self.status_code = status


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception of a view into a problem; None for what is no answer to the client's request."""
    if isinstance(error, RequestDataTooBig):
        error = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", "The body is too large.")
    response = exception_handler(error, context)
    if response is None:
        return None
    code = error.default_code if isinstance(error, APIException) else "not_found"
    if isinstance(error, Problem):
        code = str(error.get_codes())
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(response.status_code).phrase,
        "status": response.status_code,
        "code": code,
        "detail": _sentence(error),
    }
    if isinstance(error, ValidationError):
        body["errors"] = response.data
    answer = Response(body, status=response.status_code, content_type=MEDIA_TYPE)
    for name in ("WWW-Authenticate", "Retry-After", "Allow"):
        if name in response:
            answer[name] = response[name]
    return answer


def _sentence(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "The request has fields that cannot be accepted; see errors."
    return str(getattr(error, "detail", "") or "There is nothing at this address.")
