"""Is this process alive, can it work, and how is the whole service: for probes, load balancers and operators.

`/healthz` and `/readyz` name parts, never addresses or reasons: they are open to anybody. Whoever carries
HEALTH_CHECK_TOKEN sees numbers.
"""

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import structlog
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from config import VERSION
from config.shared import probes
from config.shared.metrics import render

log = structlog.get_logger("health")

PROBE_TIMEOUT = 3.0  # seconds; probes usually give up after 5
PACKAGES = ("django", "channels", "daphne", "neonize")
_probe_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="probe")
_forgetting: set[asyncio.Task[Any]] = set()


@require_safe
@never_cache
async def healthz(_request: HttpRequest) -> JsonResponse:
    """200 as long as this process answers; asks nothing of others, so that their fault restarts nobody."""
    return JsonResponse({"status": "ok", "version": VERSION})


@require_safe
@never_cache
async def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when the database, the channel layer and the apps' probes answer, else 503; names each part."""
    asked = {
        "database": _in_a_probe_thread(_database_answers),
        "channel_layer": _channel_layer_round_trip(),
        **{name: _in_a_probe_thread(probe) for name, probe in probes.probes().items()},
    }
    answers = await asyncio.gather(*(_answers(part, probe) for part, probe in asked.items()))
    ready = all(answers)
    parts = {name: "ok" if answer else "failed" for name, answer in zip(asked, answers, strict=True)}
    status = "ok" if ready else "unavailable"
    return JsonResponse({"status": status, "parts": parts}, status=200 if ready else 503)


@require_safe
@never_cache
async def marketplace_health(request: HttpRequest) -> JsonResponse:
    """`{"status": "ok"}` for load balancers; with the health token also versions, pools and queues."""
    if not carries_token(request):
        return JsonResponse({"status": "ok"})
    versions = {name: version(name) for name in PACKAGES}
    return JsonResponse({"status": "ok", "versions": versions, **await sync_to_async(probes.details)()})


@require_safe
@never_cache
async def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics: with the health token where one is set, else for this machine alone."""
    allowed = carries_token(request) if settings.HEALTH_CHECK_TOKEN else _is_this_machine(request)
    if not allowed:
        return HttpResponse("not for you\n", status=403, content_type="text/plain")
    return HttpResponse(await sync_to_async(render)(), content_type=CONTENT_TYPE_LATEST)


def carries_token(request: HttpRequest) -> bool:
    """The request has HEALTH_CHECK_TOKEN as a bearer token or in `X-Health-Token`; false when none is set."""
    expected = settings.HEALTH_CHECK_TOKEN
    scheme, _space, bearer = request.headers.get("Authorization", "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("X-Health-Token", "")
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def _is_this_machine(request: HttpRequest) -> bool:
    """Asked directly from loopback; a reverse proxy on this machine speaks for the whole world."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR") or "").is_loopback
    except ValueError:
        return False


async def _answers(part: str, probe: Awaitable[bool]) -> bool:
    try:
        return await asyncio.wait_for(probe, PROBE_TIMEOUT)
    except Exception as error:  # noqa: BLE001  whatever is wrong with the part, it is not ready
        log.warning("part does not answer", part=part, error=repr(error))
        return False


async def _in_a_probe_thread(ask: Callable[[], bool]) -> bool:
    """Ask in a thread of its own: Django waits for a request's thread when the request ends, and with it the
    whole event loop would wait for a database that does not answer."""

    def ask_and_close() -> bool:
        try:
            return ask()
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(_probe_threads, ask_and_close)


def _database_answers() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone())


async def _channel_layer_round_trip() -> bool:
    """Send this process a message through the layer."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    try:
        await layer.send(channel, {"type": "probe"})
        return bool((await layer.receive(channel))["type"] == "probe")
    finally:
        _forget_channel(layer, channel)


def _forget_channel(layer: Any, channel: str) -> None:
    """A layer drops a channel when receiving on it is cancelled; there is no other way to give one back.

    Not waited for, because a layer that hangs would hang here too.
    """
    waiting: asyncio.Task[Any] = asyncio.ensure_future(layer.receive(channel))
    _forgetting.add(waiting)
    waiting.add_done_callback(_forgetting.discard)
    # One turn of the loop later: a task that never began has nothing to clean up.
    asyncio.get_running_loop().call_soon(waiting.cancel)
