"""The doors that machines knock at many times a second, in front of Django's own handler.

Each of Django's middlewares costs a third of such a request, and none of them is for these: no cookie, no
page, no language. A few threads of their own serve them, so that a burst of webhooks neither opens more
database connections than there are nor makes people's pages wait.
"""

import asyncio
import io
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, JsonResponse
from django.urls import Resolver404, resolve

from config.shared.batches import Batches
from config.shared.database import in_threads, with_connection
from marketplace.webhooks import views

log = structlog.get_logger("web")

PREFIXES = ("/webhook/yclients", "/yclients/messages")
LARGEST_BODY = 4 * 1024 * 1024  # bytes; each view has a limit of its own below this
_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="hot-door")

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Any  # the ASGI types of Django and Channels differ in what they call a message


class Gone(Exception):
    """The client went away before it had said everything."""


class TooLarge(Exception):
    """The body is longer than LARGEST_BODY."""


class HotDoors:
    """Answers the hot doors itself and hands everything else to `application`."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(PREFIXES):
            await self.application(scope, receive, send)
            return
        started = time.monotonic()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=uuid.uuid4().hex[:12])
        try:
            response = await _answer(scope, await _read(receive))
        except Gone:
            return
        except TooLarge:
            response = _refusal(413, "The body is too large.")
        except Resolver404:
            response = _refusal(404, "There is nothing at this address.")
        except Exception:
            log.exception("request failed", path=scope["path"])
            response = _refusal(500, "Something went wrong here; try again later.")
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        log.info(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=response.status_code,
            ms=milliseconds,
        )
        await _send(response, send)


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise TooLarge
        if not message.get("more_body"):
            return bytes(body)


async def _answer(scope: dict[str, Any], body: bytes) -> HttpResponse:
    """Raises Resolver404. A client that leaves now changes nothing: threads end their work all the same."""
    view, args, kwargs = resolve(scope["path"])
    if view is not views.webhook or scope["method"] != "POST":
        return await in_threads(_threads, _call, view, args, kwargs, scope, body)
    taken = await asyncio.wrap_future(_webhooks.submit(views.WebhookRequest(body, **kwargs)))
    return taken.response if taken.due is None else await in_threads(_threads, views.finish, taken)


def _call(view: Any, args: Any, kwargs: Any, scope: dict[str, Any], body: bytes) -> HttpResponse:
    # The length as it was read: a chunked body has none of its own.
    headers = [pair for pair in scope["headers"] if pair[0].lower() != b"content-length"]
    headers.append((b"content-length", str(len(body)).encode()))
    request = ASGIRequest({**scope, "headers": headers}, io.BytesIO(body))
    response: HttpResponse = view(request, *args, **kwargs)
    return response


# A commit of many webhooks costs hardly more than of one: a burst is kept by a few.
_webhooks = Batches(with_connection(views.intake_all), name="webhooks", threads=2, largest=64)


def _refusal(status: int, sentence: str) -> HttpResponse:
    return JsonResponse({"success": False, "error": sentence}, status=status)


async def _send(response: HttpResponse, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
    headers.append((b"x-content-type-options", b"nosniff"))
    headers.append((b"content-length", str(len(response.content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
