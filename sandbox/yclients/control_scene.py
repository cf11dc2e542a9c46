"""`/control/…` beyond the salons: settings, clock, faults, journal, tariffs."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from sandbox.yclients.context import context_of
from sandbox.yclients.control import ControlError, read_body


def routes() -> list[web.RouteDef]:
    """Routes of everything around the salons."""
    return [
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


async def get_settings(request: web.Request) -> web.Response:
    """Addresses and switches; no secrets."""
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
    """`product_url`, `product_public_url`, `enforce_limits`."""
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
    """Move the marketplace's clock forward by `seconds`."""
    context = context_of(request)
    seconds = (await read_body(request)).get("seconds")
    if not isinstance(seconds, int | float) or seconds < 0:
        raise ControlError("Say `seconds`, a number that is not negative.")
    context.clock.advance(seconds=seconds)
    return web.json_response({"now": context.clock.now().isoformat()})


async def list_faults(request: web.Request) -> web.Response:
    """Faults still to be played."""
    return web.json_response({"faults": [asdict(fault) for fault in context_of(request).faults.planned()]})


async def add_fault(request: web.Request) -> web.Response:
    """Plan a fault: `kind`, and `endpoint`, `times`, `until_lifted`, `seconds`."""
    body = await read_body(request)
    known = {"kind", "endpoint", "times", "until_lifted", "seconds"}
    if "kind" not in body or not set(body) <= known:
        raise ControlError(f"A fault needs `kind`; known fields are {', '.join(sorted(known))}.")
    if not isinstance(body.get("times", 1), int) or not isinstance(body.get("seconds", 1), int | float):
        raise ControlError("`times` is a whole number, `seconds` a number.")
    return web.json_response(asdict(context_of(request).faults.add(**body)), status=201)


async def lift_faults(request: web.Request) -> web.Response:
    """Take back one fault or all."""
    raw = request.match_info.get("fault_id")
    if raw is not None and not raw.isdecimal():
        raise ControlError("A fault's id is a number.")
    lifted = context_of(request).faults.lift(int(raw) if raw else None)
    return web.json_response({"lifted": lifted})


async def journal(request: web.Request) -> web.Response:
    """API calls, by `endpoint`, numbered above `after`."""
    after = request.query.get("after", "0")
    if not after.isdecimal():
        raise ControlError("`after` is a number.")
    calls = context_of(request).journal.calls(endpoint=request.query.get("endpoint"), after=int(after))
    return web.json_response({"calls": [asdict(call) for call in calls]})


async def clear_journal(request: web.Request) -> web.Response:
    """Forget the calls so far."""
    context_of(request).journal.clear()
    return web.json_response({})


async def set_tariffs(request: web.Request) -> web.Response:
    """Replace the tariffs; an empty list means none."""
    context = context_of(request)
    tariffs = (await read_body(request)).get("tariffs")
    if not isinstance(tariffs, list):
        raise ControlError("Say `tariffs`, a list.")
    context.marketplace.tariffs = tariffs
    context.marketplace.changed()
    return web.json_response({"tariffs": tariffs})
