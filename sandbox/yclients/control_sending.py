"""`/control/webhooks…` and `/control/notifications…`: make the sandbox send, see what was answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from aiohttp import web

from sandbox.yclients.context import Context, context_of
from sandbox.yclients.control import ControlError, build, read_body
from sandbox.yclients.notifications import Destination, Notification, Shape
from sandbox.yclients.sender import Delivery, Outgoing
from sandbox.yclients.webhooks import EntityEvent, arrange

HOW = {"repeat", "order", "parallel", "wait"}


def routes() -> list[web.RouteDef]:
    """Routes for sending and for reading the logs."""
    return [
        web.get("/control/webhooks", deliveries),
        web.post("/control/webhooks/lifecycle", lifecycle),
        web.post("/control/webhooks/entity", entity),
        web.post("/control/webhooks/raw", raw),
        web.get("/control/notifications", notifications),
        web.post("/control/notifications", notify),
        web.get("/control/notifications/{notification_id}", notification),
    ]


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """A delivery with its tries and the last status."""
    return {**asdict(delivery), "last_status": delivery.last_status}


async def deliveries(request: web.Request) -> web.Response:
    """Everything sent so far, of one `kind` when asked."""
    rows = context_of(request).sender.deliveries
    kind = request.query.get("kind")
    return web.json_response({"deliveries": [delivery_json(d) for d in rows if kind in (None, d.kind)]})


async def lifecycle(request: web.Request) -> web.Response:
    """`{salon_id, event, name_field?, partner_token?, application_id?, extra?}` plus how to send."""
    context, body = context_of(request), await read_body(request)
    salon_id, event = body.get("salon_id"), body.get("event")
    if not isinstance(salon_id, int) or not isinstance(event, str):
        raise ControlError("Say `salon_id`, a number, and `event`, a word.")
    if body.get("name_field", "event") not in ("event", "event_type"):
        raise ControlError("`name_field` is event or event_type.")
    names = {"name_field", "partner_token", "application_id", "extra"}
    _only(body, names | HOW | {"salon_id", "event"})
    chosen = {name: body[name] for name in names if name in body}
    outgoing = context.webhooks.lifecycle(salon_id=salon_id, event=event, **chosen)
    return await _send(context, [outgoing], body)


async def entity(request: web.Request) -> web.Response:
    """`{salon_id, events: [{resource, status, resource_id?, fields?, drop?, partial?, …}]}`."""
    context, body = context_of(request), await read_body(request)
    salon_id, events = body.get("salon_id"), body.get("events", [{}])
    if not isinstance(salon_id, int) or not isinstance(events, list):
        raise ControlError("Say `salon_id`, a number, and `events`, a list of objects.")
    _only(body, HOW | {"salon_id", "events"})
    built = [_event(event) for event in events]
    return await _send(context, context.webhooks.entities(salon_id=salon_id, events=built), body)


async def raw(request: web.Request) -> web.Response:
    """`{text, salon_id?, content_type?}`: anything, also what is not JSON."""
    context, body = context_of(request), await read_body(request)
    _only(body, HOW | {"text", "salon_id", "content_type"})
    if not isinstance(body.get("text"), str):
        raise ControlError("Say `text`, the exact body to send.")
    outgoing = context.webhooks.raw(
        text=body["text"],
        salon_id=body.get("salon_id"),
        content_type=body.get("content_type", "application/json"),
    )
    return await _send(context, outgoing, body)


async def notify(request: web.Request) -> web.Response:
    """`{salon_id, text, phone | destinations: [{phone, id?}], channel?, dispatch_type?, shape?…}`."""
    context, body = context_of(request), await read_body(request)
    salon_id, text = body.get("salon_id"), body.get("text")
    targets = body.get("destinations") or [{"phone": body.get("phone")}]
    if not isinstance(salon_id, int) or not isinstance(text, str):
        raise ControlError("Say `salon_id`, a number, and `text`.")
    if not all(isinstance(target, dict) and isinstance(target.get("phone"), str) for target in targets):
        raise ControlError("Say `phone`, or `destinations`, a list of objects with `phone` and perhaps `id`.")
    names = {"channel", "dispatch_type", "sender_name", "callback_url"}
    _only(body, names | {"salon_id", "text", "phone", "destinations", "shape"})
    rows, delivery = await context.notifier.send(
        salon_id=salon_id,
        text=text,
        destinations=[build(Destination, target) for target in targets],
        shape=build(Shape, body.get("shape", {})),
        **{name: body[name] for name in names if name in body},
    )
    return web.json_response(
        {"notifications": [asdict(row) for row in rows], "delivery": delivery_json(delivery)}
    )


async def notifications(request: web.Request) -> web.Response:
    """Every notification with its statuses."""
    rows: list[Notification] = list(context_of(request).notifier.notifications.values())
    return web.json_response({"notifications": [asdict(row) for row in rows]})


async def notification(request: web.Request) -> web.Response:
    """One notification by its id."""
    row = context_of(request).notifier.notifications.get(request.match_info["notification_id"])
    if row is None:
        return web.json_response({"error": "There is no such notification."}, status=404)
    return web.json_response(asdict(row))


def _event(values: Any) -> EntityEvent:
    if not isinstance(values, dict):
        raise ControlError("An event is an object.")
    starts_at = None
    if "starts_at" in values:
        try:
            starts_at = datetime.fromisoformat(str(values["starts_at"]))
        except ValueError as error:
            raise ControlError("`starts_at` is an ISO 8601 time.") from error
    return build(EntityEvent, {**values, "starts_at": starts_at})


def _only(body: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(body) - known)
    if unknown:
        raise ControlError(f"Unknown fields: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")


async def _send(context: Context, outgoing: Sequence[Outgoing], body: dict[str, Any]) -> web.Response:
    """Send `repeat` times, in an `order`, `parallel` or one by one; `wait` (default) for the answers."""
    repeat, order = body.get("repeat", 1), body.get("order", "as_given")
    if not isinstance(repeat, int) or not 1 <= repeat <= 100:
        raise ControlError("`repeat` is a whole number from 1 to 100.")
    if order not in ("as_given", "reversed", "shuffled"):
        raise ControlError("`order` is as_given, reversed or shuffled.")
    items = arrange(outgoing, repeat=repeat, order=order)
    sent, task = context.sender.start(items, parallel=bool(body.get("parallel", False)))
    wait = bool(body.get("wait", True))
    if wait:
        await asyncio.shield(task)
    return web.json_response(
        {"deliveries": [delivery_json(delivery) for delivery in sent]}, status=200 if wait else 202
    )
