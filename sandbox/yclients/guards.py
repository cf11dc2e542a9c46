"""What every API request passes before its handler: journal, faults, limit, token, Accept header."""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from sandbox.yclients.context import Context, context_of
from sandbox.yclients.errors import ApiError, failure
from sandbox.yclients.faults import Fault, FaultKind
from sandbox.yclients.journal import SECRET_NAMES, STRIPPED, Call, strip_secrets
from sandbox.yclients.marketplace import ALREADY_INSTALLED, MarketplaceError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
API_PREFIXES = ("/api/v1/", "/marketplace/")
# Carries its own secret in the path instead of a bearer token, and is not the application's API budget.
OPEN_ENDPOINTS = ("delivery_callback",)


class ConnectionCutError(Exception):
    """A fault closes the connection instead of answering."""


@web.middleware
async def api_guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Journal an API request and turn every refusal into YCLIENTS' error shape."""
    if not request.path.startswith(API_PREFIXES):
        return await handler(request)
    context = context_of(request)
    call = _open_call(context, request)
    started = time.monotonic()
    try:
        response = await _answer(context, request, handler, call)
        call.status = response.status
        return response
    except ConnectionCutError:
        if request.transport is not None:
            request.transport.abort()
        # Nothing of this reaches the client: its connection is gone.
        return web.Response(status=500)
    finally:
        call.seconds = round(time.monotonic() - started, 4)


async def _answer(context: Context, request: web.Request, handler: Handler, call: Call) -> web.StreamResponse:
    try:
        await _note_body(request, call)
        return await _with_faults(context, request, handler, call)
    except ApiError as error:
        return failure(error)
    except MarketplaceError as error:
        return failure(ApiError(error.status, error.message))
    except web.HTTPRequestEntityTooLarge:
        return failure(ApiError(413, "Тело запроса слишком велико."))
    except web.HTTPNotFound:
        return failure(ApiError(404, "Страница не найдена."))
    except web.HTTPMethodNotAllowed as error:
        allow = ", ".join(sorted(error.allowed_methods))
        return failure(ApiError(405, "Метод не поддерживается.", headers={"Allow": allow}))


async def _with_faults(
    context: Context, request: web.Request, handler: Handler, call: Call
) -> web.StreamResponse:
    fault = context.faults.take(call.endpoint)
    if fault is None:
        return await _checked(context, request, handler, call)
    call.fault = fault.kind.value
    if fault.kind is FaultKind.SLOW:
        await asyncio.sleep(fault.seconds)
        return await _checked(context, request, handler, call)
    if fault.kind is FaultKind.SLOW_ANSWER:
        response = await _checked(context, request, handler, call)
        await asyncio.sleep(fault.seconds)
        return response
    if fault.kind is FaultKind.DROP_AFTER:
        await _checked(context, request, handler, call)
        raise ConnectionCutError
    if fault.kind in (FaultKind.DROP_BEFORE, FaultKind.DOWN):
        raise ConnectionCutError
    raise _refusal(fault)


def _refusal(fault: Fault) -> ApiError:
    if fault.kind is FaultKind.TOO_MANY:
        return _too_many(fault.seconds)
    if fault.kind is FaultKind.INVALID:
        errors = {"salon_id": ["Некорректное значение."]}
        return ApiError(422, "Произошла ошибка валидации.", errors=errors)
    sentences = {
        FaultKind.INTERNAL_ERROR: "Внутренняя ошибка сервера.",
        FaultKind.UNAVAILABLE: "Сервис временно недоступен.",
        FaultKind.ALREADY_INSTALLED: ALREADY_INSTALLED,
    }
    return ApiError(int(fault.kind.value), sentences[fault.kind])


async def _checked(
    context: Context, request: web.Request, handler: Handler, call: Call
) -> web.StreamResponse:
    if call.endpoint not in OPEN_ENDPOINTS:
        wait = context.rate_limit.take(call.remote)
        if wait > 0:
            raise _too_many(wait)
        _check_token(context, request)
        _check_accept(context, request)
    return await handler(request)


def _check_token(context: Context, request: web.Request) -> None:
    # "Bearer <partner token>, User <user token>" is YCLIENTS' other form; the partner part is what counts.
    scheme, _, value = request.headers.get("Authorization", "").partition(",")[0].partition(" ")
    expected = context.settings.partner_token.encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(value.strip().encode(), expected):
        raise ApiError(401, "Необходима авторизация.")


def _check_accept(context: Context, request: web.Request) -> None:
    accepted = {
        part.partition(";")[0].strip().lower() for part in request.headers.get("Accept", "").split(",")
    }
    if context.settings.accept.lower() in accepted:
        return
    if accepted <= {"", "*/*"}:
        raise ApiError(400, "Не указана версия API в заголовке Accept.")
    raise ApiError(406, "Версия API в заголовке Accept не поддерживается.")


def _too_many(wait: float) -> ApiError:
    headers = {"Retry-After": str(max(1, math.ceil(wait)))}
    return ApiError(429, "Превышено допустимое количество запросов.", headers=headers)


def _open_call(context: Context, request: web.Request) -> Call:
    endpoint = request.match_info.route.name or "unknown"
    return context.journal.open(
        at=context.clock.now().isoformat(),
        method=request.method,
        path=_path_without_secrets(request),
        endpoint=endpoint,
        remote=request.remote or "",
    )


async def _note_body(request: web.Request, call: Call) -> None:
    if request.can_read_body:
        try:
            call.body = strip_secrets(await request.json())
        except ValueError:
            call.body = "[not JSON]"


def _path_without_secrets(request: web.Request) -> str:
    path = request.path
    for name, value in request.match_info.items():
        if name in SECRET_NAMES:
            path = path.replace(value, STRIPPED)
    if not request.query_string:
        return path
    pairs = parse_qsl(request.query_string, keep_blank_values=True)
    return f"{path}?{urlencode([(k, STRIPPED if k in SECRET_NAMES else v) for k, v in pairs], safe='[]')}"
