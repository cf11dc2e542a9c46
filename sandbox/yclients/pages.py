"""The pages that a salon owner sees: marketplace card, "back in YCLIENTS", payment, notifications."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path

from aiohttp import web

from sandbox.yclients import html
from sandbox.yclients.context import Context, context_of
from sandbox.yclients.marketplace import MarketplaceError
from sandbox.yclients.notifications import Destination
from sandbox.yclients.salons import InstallStatus

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# How long a button waits for the application's answer before the page comes back anyway.
BUTTON_PATIENCE_SECONDS = 2.0
DELIVERIES_SHOWN = 8


def routes() -> list[web.AbstractRouteDef]:
    """Routes of the pages and their style sheet."""
    return [
        web.get("/", marketplace),
        web.post("/connect", connect_several),
        web.post("/salons/{salon_id:[0-9]+}/connect", connect_one),
        web.post("/salons/{salon_id:[0-9]+}/{action:uninstall|freeze|pay}", act),
        web.get("/back", back),
        web.get("/pay", pay),
        web.get("/notifications", notifications),
        web.post("/notifications", send_notification),
        web.static("/static", Path(__file__).parent / "static"),
    ]


@web.middleware
async def page_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A refusal of the marketplace on a page is a page with a sentence and a way back."""
    try:
        return await handler(request)
    except MarketplaceError as error:
        context = context_of(request)
        body = f'<section class="card center"><h1>{escape(error.message)}</h1>{_way_back(context)}</section>'
        return _html(html.page(context, title=error.message, body=body), status=error.status)


async def marketplace(request: web.Request) -> web.Response:
    """The application's card with all salons."""
    context = context_of(request)
    salons = [context.marketplace.salon(salon_id) for salon_id in context.marketplace.salons]
    latest = [d for d in reversed(context.sender.deliveries) if d.kind == "lifecycle"][:DELIVERIES_SHOWN]
    note = "Отметьте хотя бы один филиал." if request.query.get("note") == "none-chosen" else ""
    body = html.marketplace_body(context, salons=salons, deliveries=latest, note=note)
    return _html(html.page(context, title="Уведомления в WhatsApp", body=body, here="/"))


async def connect_one(request: web.Request) -> web.Response:
    """ "Connect" of one salon: off to the application."""
    raise web.HTTPSeeOther(context_of(request).press_connect([int(request.match_info["salon_id"])]))


async def connect_several(request: web.Request) -> web.Response:
    """ "Connect" of the ticked salons: off to the application with all of them."""
    context = context_of(request)
    chosen = [str(value) for value in (await request.post()).getall("salon_id", [])]
    if not chosen or not all(value.isdecimal() for value in chosen):
        raise web.HTTPSeeOther(f"{context.public_url}/?note=none-chosen")
    raise web.HTTPSeeOther(context.press_connect([int(value) for value in chosen]))


async def act(request: web.Request) -> web.Response:
    """Uninstall, freeze or pay: the state changes first, then the application is notified."""
    context = context_of(request)
    salon_id, action = int(request.match_info["salon_id"]), request.match_info["action"]
    if action == "uninstall":
        context.marketplace.uninstall(salon_id, source="user")
    elif action == "freeze":
        context.marketplace.freeze(salon_id)
    else:
        context.pay(salon_id, discount=_discount(request))
    event = "payment" if action == "pay" else action
    _, task = context.sender.start([context.webhooks.lifecycle(salon_id=salon_id, event=event)])
    await asyncio.wait([task], timeout=BUTTON_PATIENCE_SECONDS)
    raise web.HTTPSeeOther(f"{context.public_url}/")


async def back(request: web.Request) -> web.Response:
    """Where an activation's 301 leads the owner's browser."""
    context = context_of(request)
    salon = context.marketplace.salon(_query_salon(request))
    active = salon.installation is not None and salon.installation.status is InstallStatus.ACTIVE
    title = "Интеграция подключена" if active else "Интеграция ещё не подключена"
    text = (
        "Уведомления клиентам теперь уходят с номера вашего салона."
        if active
        else "Вернитесь в маркетплейс и нажмите «Подключить»."
    )
    body = (
        f'<section class="card center">{html.DONE if active else ""}<h1>{title}</h1>'
        f"<p>{escape(salon.title)} {html.status_badge(salon.installation)}</p>"
        f'<p class="soft">{text}</p>{_way_back(context)}</section>'
    )
    return _html(html.page(context, title=title, body=body))


async def pay(request: web.Request) -> web.Response:
    """Where a payment link leads."""
    context = context_of(request)
    salon = context.marketplace.salon(_query_salon(request))
    discount = _discount(request)
    words = f" со скидкой {discount}&nbsp;%" if discount else ""
    body = (
        f'<section class="card center"><h1>Оплата приложения</h1><p>{escape(salon.title)}</p>'
        f'<p class="soft">Стандартный тариф{words}. Деньги в песочнице не списываются.</p>'
        f'<form method="post" action="{escape(context.public_url)}/salons/{salon.id}/pay'
        f'?discount={discount}">'
        '<button class="primary">Оплатить</button></form></section>'
    )
    return _html(html.page(context, title="Оплата приложения", body=body))


async def notifications(request: web.Request) -> web.Response:
    """Send one notification through the application; see the statuses of earlier ones."""
    context = context_of(request)
    latest = list(reversed(context.notifier.notifications.values()))[:50]
    form = _notification_form(context)
    body = (
        "<h1>Уведомления клиентам</h1>"
        '<p class="soft">YCLIENTS передаёт сообщение приложению, а оно сообщает, что с ним стало.</p>'
        f'{form}<h2>Отправленные</h2><div id="sent" data-live>{html.notification_list(latest)}</div>'
    )
    text = html.page(context, title="Уведомления клиентам", body=body, here="/notifications", live=True)
    return _html(text)


async def send_notification(request: web.Request) -> web.Response:
    """The form of the page above."""
    context = context_of(request)
    form = await request.post()
    salon_id, phone, text = (str(form.get(name, "")).strip() for name in ("salon_id", "phone", "text"))
    if not salon_id.isdecimal() or not phone or not text:
        raise MarketplaceError(422, "Заполните филиал, телефон и текст.")
    await context.notifier.send(salon_id=int(salon_id), destinations=[Destination(phone)], text=text)
    raise web.HTTPSeeOther(f"{context.public_url}/notifications")


def _notification_form(context: Context) -> str:
    salons = [context.marketplace.salon(salon_id) for salon_id in context.marketplace.salons]
    options = "".join(
        f'<option value="{salon.id}">{escape(salon.title)}</option>'
        for salon in salons
        if salon.installation and salon.installation.api_keys
    )
    if not options:
        return '<p class="note">Сначала подключите приложение хотя бы в одном филиале.</p>'
    return (
        f'<form class="card" method="post" action="{escape(context.public_url)}/notifications">'
        '<div class="pair"><div class="field"><label for="salon">Филиал</label>'
        f'<select id="salon" name="salon_id">{options}</select></div>'
        '<div class="field"><label for="phone">Телефон клиента</label>'
        '<input id="phone" type="tel" name="phone" value="+79990000000" required></div></div>'
        '<div class="field"><label for="text">Текст</label><textarea id="text" name="text" rows="3" required>'
        "Здравствуйте! Напоминаем о визите завтра в 12:10.</textarea></div>"
        '<button class="primary">Отправить</button></form>'
    )


def _way_back(context: Context) -> str:
    return (
        f'<div class="several"><a class="button primary" href="{escape(context.public_url)}/">'
        "В маркетплейс</a></div>"
    )


def _discount(request: web.Request) -> int:
    raw = request.query.get("discount", "0")
    return min(int(raw), 100) if raw.isdecimal() else 0


def _query_salon(request: web.Request) -> int:
    raw = request.query.get("salon_id", "")
    if not raw.isdecimal():
        raise MarketplaceError(404, "Компания не найдена.")
    return int(raw)


def _html(text: str, *, status: int = 200) -> web.Response:
    return web.Response(
        text=text, status=status, content_type="text/html", headers={"Cache-Control": "no-store"}
    )
