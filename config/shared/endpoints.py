"""Addresses that machines post to many times a second: webhooks and the operator's notifications.

An Endpoint is a pure description. `config.ingest` serves it in front of Django's handler, many requests by
one call; `django_view` serves the same from Django's urls, one request at a time.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt

from config.shared.limited_body import BodyTooLarge, read_body

NOT_ALLOWED = "This method is not allowed here."
TOO_LARGE = "The body is too large."


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """What a machine posted: the body, the last part of its address, and its Authorization header."""

    body: bytes
    secret: str = ""
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer; `before_sending` is work that may take seconds and is done before it is sent."""

    status: int
    content: bytes
    headers: tuple[tuple[str, str], ...] = ()
    before_sending: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How requests to an address are answered.

    `handle` takes several requests and returns their answers in the same order. `refuse` makes the answer
    to a request that does not get that far, of an HTTP status and a sentence. `probe` answers GET.
    """

    name: str
    max_body: int  # bytes
    handle: Callable[[list[IngestRequest]], list[Answer]]
    refuse: Callable[[int, str], Answer]
    probe: Answer | None = None


def json_answer(status: int, value: Any, **headers: str) -> Answer:
    """Return an Answer of a JSON value; underscores in the headers' names stand for hyphens."""
    named = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return Answer(status, json.dumps(value).encode(), named)


def answer_without_body(endpoint: Endpoint, method: str) -> Answer | None:
    """Return the answer to a method that brings nothing to take, None for POST."""
    if method == "POST":
        return None
    if method in ("GET", "HEAD") and endpoint.probe:
        return endpoint.probe
    allowed = "GET, HEAD, POST" if endpoint.probe else "POST"
    refusal = endpoint.refuse(405, NOT_ALLOWED)
    return Answer(405, refusal.content, (*refusal.headers, ("Allow", allowed)))


def django_view(endpoint: Endpoint) -> Callable[..., HttpResponse]:
    """Return the view that serves `endpoint`; `secret` is the last part of its address."""

    @csrf_exempt
    def view(request: HttpRequest, secret: str = "") -> HttpResponse:
        # As config.ingest, which knows no languages: machines are all answered in the same one.
        with translation.override(settings.LANGUAGE_CODE):
            return _response(_answer(endpoint, request, secret))

    view.endpoint = endpoint  # type: ignore[attr-defined]
    return view


def _answer(endpoint: Endpoint, request: HttpRequest, secret: str) -> Answer:
    if answer := answer_without_body(endpoint, request.method or ""):
        return answer
    try:
        body = read_body(request, endpoint.max_body)
    except BodyTooLarge:
        return endpoint.refuse(413, TOO_LARGE)
    [answer] = endpoint.handle([IngestRequest(body, secret, request.headers.get("Authorization", ""))])
    return answer


def _response(answer: Answer) -> HttpResponse:
    if answer.before_sending:
        answer.before_sending()
    return HttpResponse(
        answer.content, status=answer.status, content_type="application/json", headers=dict(answer.headers)
    )
