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
    """Routes of the scene: salons, installations, clock, faults, journal."""
    salon = "/control/salons/{salon_id}"
    return [
        web.get("/control/salons", list_salons),
        web.post("/control/salons", create_salon),
        web.get(salon, get_salon),
        web.post(salon + "/{action:freeze|unfreeze|uninstall|pay}", change_install),
        web.post("/control/press-connect", press_connect),
        web.get("/control/settings", get_settings),
        web.post("/control/settings", change_settings),
        web.post("/control/clock/advance", advance_clock),
        web.get("/control/faults", list_faults),
        web.post("/control/faults", add_fault),
        web.delete("/control/faults", lift_faults),
        web.delete("/control/faults/{fault_id}", lift_faults),
        web.get("/control/journal", journal),
        web.delete("/control/journal", clear_journal),
        web.put("/control/tariffs", set_tariffs),
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
    context = context_of(request)
    rows = [salon_json(context, salon_id) for salon_id in context.marketplace.salons]
    return web.json_response({"salons": rows})


async def get_salon(request: web.Request) -> web.Response:
    return web.json_response(salon_json(context_of(request), salon_number(request)))


async def create_salon(request: web.Request) -> web.Response:
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


async def get_settings(request: web.Request) -> web.Response:
    settings = context_of(request).settings
    return web.json_response(
        {
            "product_url": settings.product_url,
            "product_public_url": settings.browser_product_url,
            "application_id": settings.application_id,
            "accept": settings.accept,
            "enforce_limits": context_of(request).rate_limit.enabled,
        }
    )


async def change_settings(request: web.Request) -> web.Response:
    context = context_of(request)
    body = await read_body(request)
    for name in ("product_url", "product_public_url"):
        if name in body:
            setattr(context.settings, name, str(body[name]).rstrip("/"))
    if "enforce_limits" in body:
        context.rate_limit.enabled = bool(body["enforce_limits"])
        context.rate_limit.reset()
    return await get_settings(request)


async def advance_clock(request: web.Request) -> web.Response:
    context = context_of(request)
    seconds = (await read_body(request)).get("seconds")
    if not isinstance(seconds, int | float) or seconds < 0:
        raise ControlError("Say `seconds`, a number that is not negative.")
    context.clock.advance(seconds=seconds)
    return web.json_response({"now": context.clock.now().isoformat()})


async def list_faults(request: web.Request) -> web.Response:
    return web.json_response({"faults": [asdict(fault) for fault in context_of(request).faults.planned()]})


async def add_fault(request: web.Request) -> web.Response:
    body = await read_body(request)
    known = {"kind", "endpoint", "times", "until_lifted", "seconds"}
    if "kind" not in body or not set(body) <= known:
        raise ControlError(f"A fault needs `kind`; known fields are {', '.join(sorted(known))}.")
    if not isinstance(body.get("times", 1), int) or not isinstance(body.get("seconds", 1), int | float):
        raise ControlError("`times` is a whole number, `seconds` a number.")
    return web.json_response(asdict(context_of(request).faults.add(**body)), status=201)


async def lift_faults(request: web.Request) -> web.Response:
    raw = request.match_info.get("fault_id")
    if raw is not None and not raw.isdecimal():
        raise ControlError("A fault's id is a number.")
    lifted = context_of(request).faults.lift(int(raw) if raw else None)
    return web.json_response({"lifted": lifted})


async def journal(request: web.Request) -> web.Response:
    after = request.query.get("after", "0")
    if not after.isdecimal():
        raise ControlError("`after` is a number.")
    calls = context_of(request).journal.calls(endpoint=request.query.get("endpoint"), after=int(after))
    return web.json_response({"calls": [asdict(call) for call in calls]})


async def clear_journal(request: web.Request) -> web.Response:
    context_of(request).journal.clear()
    return web.json_response({})


async def set_tariffs(request: web.Request) -> web.Response:
    context = context_of(request)
    tariffs = (await read_body(request)).get("tariffs")
    if not isinstance(tariffs, list):
        raise ControlError("Say `tariffs`, a list.")
    context.marketplace.tariffs = tariffs
    context.marketplace.changed()
    return web.json_response({"tariffs": tariffs})
