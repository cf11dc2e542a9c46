"""The page of bookings: make, move and cancel a visit; the application is notified of each change."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from html import escape
from typing import Any

from aiohttp import web

from sandbox.yclients import html
from sandbox.yclients.context import Context, context_of
from sandbox.yclients.marketplace import MarketplaceError
from sandbox.yclients.payloads import new_client
from sandbox.yclients.salons import Salon
from sandbox.yclients.webhooks import EntityEvent

SHOWN = 20
# How long a button waits for the application's answer before the page comes back anyway.
PATIENCE_SECONDS = 2.0
SERVICES = {"5034676": "Стрижка", "5034677": "Окрашивание", "5034678": "Маникюр"}
MASTERS = {"2835418": "Анна", "2835419": "Мария"}
MOVES_BY = timedelta(hours=1)


def routes() -> list[web.RouteDef]:
    """The page and its buttons."""
    one = "/records/{salon_id:[0-9]+}/{record_id:[0-9]+}"
    return [
        web.get("/records", records),
        web.post("/records", book),
        web.post(one + "/move", move),
        web.post(one + "/cancel", cancel),
        web.post(one + "/came", came),
    ]


async def records(request: web.Request) -> web.Response:
    """The form of a new booking, and the bookings there are."""
    context = context_of(request)
    body = (
        "<h1>Журнал записи</h1>"
        '<p class="soft">О каждом изменении YCLIENTS сообщает приложению, а оно пишет клиенту.</p>'
        f'{_form(context)}<h2>Записи</h2><div id="records" data-live>{_list(context)}</div>'
    )
    text = html.page(context, title="Журнал записи", body=body, here="/records", live=True)
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


async def book(request: web.Request) -> web.Response:
    """A new booking."""
    context, form = context_of(request), await request.post()
    said = {name: str(form.get(name, "")).strip() for name in ("salon_id", "name", "phone", "starts_at")}
    service, master = str(form.get("service", "")), str(form.get("master", ""))
    if not all(said.values()) or service not in SERVICES or master not in MASTERS:
        raise MarketplaceError(422, "Заполните филиал, клиента, услугу, мастера и время.")
    salon = context.marketplace.salon(int(said["salon_id"]) if said["salon_id"].isdecimal() else 0)
    client = {**new_client(client_id=1), "phone": said["phone"]}
    fields = {
        "client": {**client, "name": said["name"], "display_name": said["name"]},
        "services": [{"id": int(service), "title": SERVICES[service], "cost": 4000, "amount": 1}],
        "staff": {"id": int(master), "name": MASTERS[master]},
        "staff_id": int(master),
    }
    event = EntityEvent(starts_at=_in_salon(salon, said["starts_at"]), fields=fields)
    return await _tell(context, salon, event)


async def move(request: web.Request) -> web.Response:
    """The same visit an hour later."""
    context, salon, record = _record(request)
    starts = datetime.fromisoformat(record["datetime"]) + MOVES_BY
    fields = {"datetime": starts.isoformat(), "date": starts.strftime("%Y-%m-%d %H:%M:%S")}
    event = EntityEvent(status="update", resource_id=record["id"], fields=fields)
    return await _tell(context, salon, event)


async def cancel(request: web.Request) -> web.Response:
    """The visit is cancelled."""
    context, salon, record = _record(request)
    return await _tell(context, salon, EntityEvent(status="delete", resource_id=record["id"]))


async def came(request: web.Request) -> web.Response:
    """The client has come: a change of which nothing is to be said."""
    context, salon, record = _record(request)
    fields = {"attendance": 1, "visit_attendance": 1}
    return await _tell(context, salon, EntityEvent(status="update", resource_id=record["id"], fields=fields))


def _record(request: web.Request) -> tuple[Context, Salon, dict[str, Any]]:
    context = context_of(request)
    salon = context.marketplace.salon(int(request.match_info["salon_id"]))
    record = salon.records.get(int(request.match_info["record_id"]))
    if record is None:
        raise MarketplaceError(404, "Запись не найдена.")
    return context, salon, record


async def _tell(context: Context, salon: Salon, event: EntityEvent) -> web.Response:
    outgoing = context.webhooks.entities(salon_id=salon.id, events=[event])
    # Side by side: one address that refuses, and is tried again, must not hold up the other.
    _, task = context.sender.start(outgoing, parallel=True)
    await asyncio.wait([task], timeout=PATIENCE_SECONDS)
    raise web.HTTPSeeOther(f"{context.public_url}/records")


def _in_salon(salon: Salon, text: str) -> datetime:
    try:
        local = datetime.fromisoformat(text)
    except ValueError as error:
        raise MarketplaceError(422, "Укажите дату и время визита.") from error
    return local.replace(tzinfo=timezone(timedelta(hours=salon.utc_offset)))


def _form(context: Context) -> str:
    salons = [salon for salon in context.marketplace.salons.values() if _is_told(salon)]
    if not salons:
        return '<p class="note">Сначала подключите приложение хотя бы в одном филиале.</p>'
    zone = timezone(timedelta(hours=salons[0].utc_offset))
    day = (context.clock.now() + timedelta(days=1)).astimezone(zone)
    tomorrow = f"{day:%Y-%m-%d}T12:10"
    chosen = _options({str(salon.id): salon.title for salon in salons})
    return (
        f'<form class="card" method="post" action="{escape(context.public_url)}/records"><div class="pair">'
        f"{_field('salon', 'Филиал', f'<select id=salon name=salon_id>{chosen}</select>')}"
        f"{_field('starts', 'Дата и время', _input('starts', 'starts_at', tomorrow, 'datetime-local'))}"
        f"{_field('name', 'Клиент', _input('name', 'name', 'Иван', 'text'))}"
        f"{_field('phone', 'Телефон клиента', _input('phone', 'phone', '+79990000000', 'tel'))}"
        f"{_field('service', 'Услуга', f'<select id=service name=service>{_options(SERVICES)}</select>')}"
        f"{_field('master', 'Мастер', f'<select id=master name=master>{_options(MASTERS)}</select>')}"
        '</div><button class="primary">Записать</button></form>'
    )


def _is_told(salon: Salon) -> bool:
    return bool(salon.installation and salon.installation.webhook_urls)


def _field(name: str, label: str, control: str) -> str:
    return f'<div class="field"><label for="{name}">{label}</label>{control}</div>'


def _input(name: str, field: str, value: str, kind: str) -> str:
    return f'<input id="{name}" type="{kind}" name="{field}" value="{escape(value)}" required>'


def _options(words: dict[str, str]) -> str:
    return "".join(f'<option value="{value}">{escape(word)}</option>' for value, word in words.items())


def _list(context: Context) -> str:
    found = [
        (salon, record) for salon in context.marketplace.salons.values() for record in salon.records.values()
    ]
    found.sort(key=lambda pair: -int(pair[1]["id"]))
    if not found:
        return '<p class="soft">Записей пока нет.</p>'
    rows = "".join(_row(context, salon, record) for salon, record in found[:SHOWN])
    return f'<div class="card"><ul class="plain">{rows}</ul></div>'


def _row(context: Context, salon: Salon, record: dict[str, Any]) -> str:
    starts = datetime.fromisoformat(record["datetime"])
    client, services = record.get("client") or {}, record.get("services") or []
    base = f"{escape(context.public_url)}/records/{salon.id}/{record['id']}"
    if record.get("deleted"):
        actions = '<span class="badge">Отменена</span>'
    else:
        buttons = [("move", "Перенести на час позже", ""), ("came", "Клиент пришёл", "")]
        buttons += [("cancel", "Отменить", "danger")]
        actions = "".join(
            f'<form method="post" action="{base}/{action}"><button class="{kind}">{words}</button></form>'
            for action, words, kind in buttons
        )
    return (
        f'<li data-record="{record["id"]}"><div class="row"><strong>{starts:%d.%m.%Y, %H:%M}</strong>'
        f'<span class="soft small">{escape(salon.title)} · №&nbsp;{record["id"]}</span></div>'
        f"<div>{escape(', '.join(service['title'] for service in services))} · мастер "
        f"{escape(record['staff']['name'])} · {escape(str(client.get('name', '')))}, "
        f'{escape(str(client.get("phone", "")))}</div><div class="salon-actions">{actions}</div></li>'
    )
