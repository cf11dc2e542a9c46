"""`/control/…`: JSON for tests and demos to set the scene and to look behind it. No tokens needed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from typing import Any, TypeVar

from aiohttp import web

from sandbox.yclients.context import Context, context_of
from sandbox.yclients.faults import FaultError
from sandbox.yclients.marketplace import MarketplaceError
from sandbox.yclients.salons import Salon
from sandbox.yclients.signing import Signature

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlError(Exception):
    """The control request makes no sense; the sentence says why."""


def routes() -> list[web.RouteDef]:
    """Routes of salons and their installations."""
    salon = "/control/salons/{salon_id}"
    return [
        web.get("/control/salons", list_salons),
        web.post("/control/salons", create_salon),
        web.get(salon, get_salon),
        web.post(salon + "/{action:freeze|unfreeze|uninstall|pay}", change_install),
        web.post("/control/press-connect", press_connect),
    ]


@web.middleware
async def control_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal under /control/ is `{"error": "<sentence>"}`."""
    if not request.path.startswith("/control/"):
        return await handler(request)
    try:
        return await handler(request)
    except MarketplaceError as error:
        return web.json_response({"error": error.message}, status=error.status)
    except (ControlError, FaultError) as error:
        return web.json_response({"error": str(error)}, status=400)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        sentence = f"There is no {request.method} {request.path} here."
        return web.json_response({"error": sentence}, status=error.status)


async def read_body(request: web.Request) -> dict[str, Any]:
    """The request's JSON object, empty when there is no body."""
    if not request.can_read_body:
        return {}
    try:
        body = await request.json()
    except ValueError as error:
        raise ControlError("The body is not JSON.") from error
    if not isinstance(body, dict):
        raise ControlError("The body must be a JSON object.")
    return body


def build(kind: type[T], values: dict[str, Any], **defaults: Any) -> T:
    """A dataclass from JSON values; ControlError for unknown or missing names."""
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ControlError(f"Unknown fields: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    try:
        return kind(**{**defaults, **values})
    except TypeError as error:
        raise ControlError(f"{kind.__name__}: {error}.") from error


def salon_number(request: web.Request) -> int:
    """The salon of the path."""
    raw = request.match_info["salon_id"]
    if not raw.isdecimal():
        raise ControlError("A salon's number is a positive whole number.")
    return int(raw)


def salon_json(context: Context, salon_id: int) -> dict[str, Any]:
    """A salon with its installation; API keys included, since tests must see what was received."""
    salon = context.marketplace.salon(salon_id)
    install = salon.installation
    row = asdict(salon)
    row["installation"] = None
    row["status"] = install.status.value if install else None
    if install:
        row["installation"] = asdict(install)
        row["installation"].pop("pending_since")
        row["installation"]["api_key_count"] = len(install.api_keys)
    return row


async def list_salons(request: web.Request) -> web.Response:
    """Every salon with its installation."""
    context = context_of(request)
    rows = [salon_json(context, salon_id) for salon_id in context.marketplace.salons]
    return web.json_response({"salons": rows})


async def get_salon(request: web.Request) -> web.Response:
    """One salon with state, log and received keys."""
    return web.json_response(salon_json(context_of(request), salon_number(request)))


async def create_salon(request: web.Request) -> web.Response:
    """One more salon: `id`, and whatever of a Salon differs from the usual."""
    context = context_of(request)
    values = await read_body(request)
    if not isinstance(values.get("id"), int) or values["id"] < 1:
        raise ControlError("A new salon needs `id`, a positive whole number.")
    salon = build(
        Salon,
        {name: value for name, value in values.items() if name not in ("installation", "records")},
        title=f"Салон {values['id']}",
        city="Москва",
        address="Москва, ул. Тверская, 1",
        phone="+7 495 000-00-00",
        email="salon@example.com",
        timezone_name="Europe/Moscow",
        utc_offset=3,
    )
    context.marketplace.add(salon)
    return web.json_response(salon_json(context, salon.id), status=201)


async def change_install(request: web.Request) -> web.Response:
    """Change the state only; the lifecycle webhook is sent separately, so that a test may lose it."""
    context, salon_id = context_of(request), salon_number(request)
    action = request.match_info["action"]
    if action == "uninstall":
        context.marketplace.uninstall(salon_id, source="user")
    elif action == "freeze":
        context.marketplace.freeze(salon_id)
    elif action == "unfreeze":
        context.marketplace.unfreeze(salon_id)
    else:
        context.pay(salon_id)
    return web.json_response(salon_json(context, salon_id))


async def press_connect(request: web.Request) -> web.Response:
    """The signed address that the browser would be sent to."""
    body = await read_body(request)
    salon_ids = body.get("salon_ids") or [body.get("salon_id")]
    if not all(isinstance(salon_id, int) for salon_id in salon_ids):
        raise ControlError("Say `salon_id`, a number, or `salon_ids`, a list of numbers.")
    signature: Signature = body.get("signature", "valid")
    if signature not in ("valid", "wrong", "none"):
        raise ControlError("`signature` is valid, wrong or none.")
    url = context_of(request).press_connect(salon_ids, signature=signature)
    return web.json_response({"redirect_url": url, "salon_ids": salon_ids})
