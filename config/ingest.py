"""The ASGI application for what machines post many times a second: webhooks and operator requests.

Mounted in `config.asgi` in front of Django's handler, whose middlewares (cookies, pages, languages) are not
for these and cost more than the work itself. `config.ingest:application` is the same alone, for a process of
its own on a faster server.
"""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
import structlog

django.setup(set_prefix=False)  # what follows needs the apps

from config.checks import refuse_bad_start  # noqa: E402
from config.shared import collector  # noqa: E402
from config.shared.batches import Batches, Overloaded  # noqa: E402
from config.shared.database import in_threads, with_kept_connection  # noqa: E402
from config.shared.endpoints import (  # noqa: E402
    TOO_LARGE,
    Answer,
    Endpoint,
    IngestRequest,
    answer_without_body,
    json_answer,
)
from config.shared.limited_body import (  # noqa: E402
    BodyTooLarge,
    BodyTooSlow,
    ClientGone,
    receive_body,
)
from marketplace.notifications.views import OPERATOR  # noqa: E402
from marketplace.webhooks.views import WEBHOOKS  # noqa: E402

log = structlog.get_logger("ingest")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Any  # the ASGI types of Django and Channels differ in what they call a message

WEBHOOK_PATH = "/webhook/yclients"
OPERATOR_PATHS = ("/yclients/messages/", "/yclients/messages")
BODY_SECONDS = 20.0  # for a whole body to arrive; the senders themselves wait for about 10
LARGEST_BATCH = 64  # requests
HEAVIEST_BATCH = 1024 * 1024  # bytes of bodies

_slow_work = ThreadPoolExecutor(max_workers=4, thread_name_prefix="ingest-slow")


class Ingest:
    """Answers the machines' addresses itself and hands everything else to `others`."""

    def __init__(self, others: Application) -> None:
        self.others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = route(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self.others(scope, receive, send)
            return
        try:
            answer = await _answer(*found, scope, receive)
        except ClientGone:
            return
        await _send(answer, send, without_body=scope["method"] == "HEAD")


def route(path: str) -> tuple[Endpoint, str] | None:
    """Return the endpoint at `path` and the secret in it, as Django's urls would; None elsewhere."""
    if path == WEBHOOK_PATH:
        return WEBHOOKS, ""
    if path in OPERATOR_PATHS:
        return OPERATOR, ""
    start, _slash, secret = path.rpartition("/")
    return (WEBHOOKS, secret) if start == WEBHOOK_PATH and secret else None


async def _answer(endpoint: Endpoint, secret: str, scope: Scope, receive: Receive) -> Answer:
    if answer := answer_without_body(endpoint, scope["method"]):
        return answer
    headers = scope["headers"]
    try:
        body = await receive_body(receive, headers, most=endpoint.max_body, seconds=BODY_SECONDS)
        authorization = next((value for name, value in headers if name == b"authorization"), b"")
        answer = await _batches[endpoint.name].submit(
            IngestRequest(body, secret, authorization.decode("latin-1"))
        )
        if answer.before_sending:
            # A client that leaves meanwhile changes nothing: the thread ends its work all the same.
            await in_threads(_slow_work, answer.before_sending)
    except BodyTooLarge:
        return endpoint.refuse(413, TOO_LARGE)
    except BodyTooSlow:
        return endpoint.refuse(408, "The body did not arrive in time.")
    except Overloaded:
        return endpoint.refuse(503, "Too much is waiting here: try again later.")
    except ClientGone:
        raise
    except Exception:
        log.exception("request failed", endpoint=endpoint.name)
        return endpoint.refuse(500, "Something went wrong here: try again later.")
    return answer


def _batches_of(endpoint: Endpoint) -> Batches[IngestRequest, Answer]:
    # A commit of many rows costs hardly more than of one: a burst is stored by a few.
    return Batches(
        with_kept_connection(endpoint.handle),
        name=endpoint.name,
        threads=2 if endpoint is WEBHOOKS else 1,
        largest=LARGEST_BATCH,
        weigh=lambda request: len(request.body),
        heaviest=HEAVIEST_BATCH,
    )


_batches = {endpoint.name: _batches_of(endpoint) for endpoint in (WEBHOOKS, OPERATOR)}


async def _send(answer: Answer, send: Send, *, without_body: bool) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", str(len(answer.content)).encode()),
    ]
    if answer.status in (408, 413):
        headers.append((b"connection", b"close"))  # or the server would go on reading what nobody wants
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if without_body else answer.content})


async def nothing_else(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands behind Ingest in a process that serves nothing else: 404, and the server's start and stop."""
    if scope["type"] == "http":
        answer = json_answer(404, {"success": False, "error": "There is nothing at this address."})
        await _send(answer, send, without_body=scope["method"] == "HEAD")
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close"})
    elif scope["type"] == "lifespan":
        await _follow_lifespan(receive, send)


async def _follow_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            collector.ignore_loaded()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


refuse_bad_start()
application = Ingest(nothing_else)
