"""The look of the sandbox's pages: plain HTML made of escaped text; all of them work without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from sandbox.yclients.context import Context
from sandbox.yclients.notifications import STATUS_WORDS, Notification, StatusEntry
from sandbox.yclients.salons import Installation, InstallStatus, Salon
from sandbox.yclients.sender import Delivery, DeliveryState

STATUS_LABELS = {
    None: "Не подключено",
    InstallStatus.PENDING: "Ожидает подключения",
    InstallStatus.ACTIVE: "Подключено",
    InstallStatus.FREEZED: "Заморожено",
    InstallStatus.UNINSTALLED: "Удалено",
}
SOURCE_LABELS = {
    "user": "салон",
    "application": "приложение",
    "system": "YCLIENTS",
    "payment": "оплата",
    "expired": "истёк срок ожидания",
}
EVENT_LABELS = {"uninstall": "удаление", "freeze": "заморозка", "payment": "оплата"}
ICON = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="#fff" stroke-width="2" stroke-linejoin="round" '
    'aria-hidden="true"><path d="M4 20l1.3-4A8 8 0 1 1 8.2 18.8z"/><path d="M8.5 11.5h7M8.5 8.5h7"/></svg>'
)
DONE = (
    '<svg class="mark" viewBox="0 0 64 64" aria-hidden="true"><circle cx="32" cy="32" r="32" fill="#12753b"/>'
    '<path d="M19 33l9 9 18-19" fill="none" stroke="#fff" stroke-width="5" stroke-linecap="round" '
    'stroke-linejoin="round"/></svg>'
)


def page(context: Context, *, title: str, body: str, here: str = "", live: bool = False) -> str:
    """A whole page; `body` is HTML, `title` text. A `live` one keeps its parts marked data-live fresh."""
    base = escape(context.public_url)
    links = "".join(
        f'<a href="{base}{path}"{" aria-current=page" if path == here else ""}>{label}</a>'
        for path, label in (("/", "Маркетплейс"), ("/notifications", "Уведомления"), ("/records", "Записи"))
    )
    script = f'<script src="{base}/static/live.js" defer></script>' if live else ""
    return (
        '<!DOCTYPE html><html lang="ru"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f'<link rel="stylesheet" href="{base}/static/page.css">{script}</head><body>'
        '<header class="bar"><div class="bar-inner">'
        '<div class="bar-name">YCLIENTS <span>песочница</span></div>'
        f"<nav>{links}</nav></div></header><main>{body}</main></body></html>"
    )


def status_badge(install: Installation | None) -> str:
    """The state as a coloured word."""
    status = install.status if install else None
    kind = f" badge-{status.value}" if status else ""
    return f'<span class="badge{kind}">{STATUS_LABELS[status]}</span>'


def marketplace_body(
    context: Context, *, salons: Sequence[Salon], deliveries: Sequence[Delivery], note: str = ""
) -> str:
    """The application's card, the salons and what the application answered lately."""
    base = escape(context.public_url)
    cards = "".join(salon_card(salon, base) for salon in salons)
    shown = f'<p class="note note-bad" role="alert">{escape(note)}</p>' if note else ""
    return (
        f"{shown}{app_card(context)}<h2>Ваши филиалы</h2>"
        f'<form id="several" method="post" action="{base}/connect"></form>{cards}'
        '<div class="several"><p class="soft small">Чтобы подключить несколько филиалов с одним номером, '
        "отметьте их и нажмите кнопку.</p>"
        '<button form="several">Подключить отмеченные</button></div>'
        f"<h2>События приложения</h2>{delivery_list(deliveries)}"
    )


def app_card(context: Context) -> str:
    """What the application is and costs."""
    options = [option for tariff in context.marketplace.tariffs for option in tariff["options"]]
    price = f"от&nbsp;{min(option['overall_price'] for option in options)}&nbsp;₽" if options else "бесплатно"
    return (
        f'<section class="card app"><div class="app-icon">{ICON}</div><div>'
        "<h1>Уведомления в WhatsApp</h1>"
        f'<p class="soft small">Чат-боты и рассылки · {price} · '
        f"приложение №&nbsp;{context.settings.application_id}</p></div>"
        '<div class="app-text"><p>Напоминания о визитах и подтверждения записи приходят клиентам с номера '
        "вашего салона. Подключение занимает пару минут: нажмите «Подключить» и привяжите WhatsApp "
        "по QR-коду или коду на телефоне.</p></div></section>"
    )


def salon_card(salon: Salon, base: str) -> str:
    """One salon with its state and its buttons."""
    install = salon.installation
    status = install.status if install else None
    connectable = status not in (InstallStatus.ACTIVE, InstallStatus.FREEZED)
    shape = "" if connectable else " salon-plain"
    box = (
        f'<input type="checkbox" form="several" name="salon_id" value="{salon.id}" '
        f'aria-label="Выбрать: {escape(salon.title)}">'
        if connectable
        else ""
    )
    return (
        f'<section class="card salon{shape}" data-salon="{salon.id}" data-status="{status or "none"}">{box}'
        f'<div class="salon-title">{escape(salon.title)}</div>{status_badge(install)}'
        f'<div class="salon-more soft small">{escape(salon.address)} · №&nbsp;{salon.id}'
        f"{_last_change(install)}{_channel(install)}</div>"
        f'<div class="salon-actions">{_salon_buttons(salon.id, status, base)}</div></section>'
    )


def _channel(install: Installation | None) -> str:
    """Said only when the application has told that its channel is down."""
    if install is None or install.channels.get("whatsapp", True):
        return ""
    return ' · <span class="badge badge-pending">канал WhatsApp недоступен</span>'


def delivery_list(deliveries: Sequence[Delivery]) -> str:
    """What was sent to the application lately and how it answered."""
    if not deliveries:
        return '<p class="soft">Пока ничего не отправлялось.</p>'
    rows = "".join(
        f'<li class="row"><span>{escape(EVENT_LABELS.get(d.label, d.label))} · №&nbsp;{d.salon_id}</span>'
        f'<span class="soft small">{_delivery_words(d)}</span></li>'
        for d in deliveries
    )
    return f'<div class="card"><ul class="plain">{rows}</ul></div>'


def notification_list(notifications: Sequence[Notification]) -> str:
    """Messages given to the operator with the statuses that came back."""
    if not notifications:
        return '<p class="soft">Пока ничего не отправлялось.</p>'
    return f'<div class="card"><ul class="plain">{"".join(map(_notification_row, notifications))}</ul></div>'


def _notification_row(item: Notification) -> str:
    if item.error_code is not None:
        outcome = f"ошибка {item.error_code}: {item.error_message or ''}"
    elif item.ext_id is not None:
        outcome = "Принято оператором"
    else:
        outcome = f"ответ {item.http_status}" if item.http_status else "нет ответа"
    reports = "".join(map(_report, item.statuses)) or '<li class="soft small">статусов ещё нет</li>'
    return (
        f'<li data-notification="{escape(item.id)}"><div class="row"><strong>{escape(item.phone)}</strong>'
        f'<span class="soft small">№&nbsp;{item.salon_id} · {escape(item.channel)}</span></div>'
        f'<div class="said">{escape(item.text)}</div>'
        f'<div class="soft small">{escape(outcome)}. Полученные статусы:</div>'
        f'<ol class="track">{reports}</ol></li>'
    )


def _report(entry: StatusEntry) -> str:
    kind = {1: " badge-active", 2: " badge-pending", 16: " badge-pending", 52: " badge-pending"}
    price = ""
    if entry.payment_sum is not None:
        price = (
            f" · {entry.payment_sum:g}&nbsp;{escape(entry.currency_iso or '')}, частей: {entry.parts_amount}"
        )
    words = f"{STATUS_WORDS[entry.status]} ({entry.status})"
    return (
        f'<li><span class="badge{kind.get(entry.status, "")}">{words}</span>'
        f'<span class="soft small">{price}</span></li>'
    )


def _salon_buttons(salon_id: int, status: InstallStatus | None, base: str) -> str:
    def button(action: str, label: str, kind: str = "") -> str:
        css = f' class="{kind}"' if kind else ""
        return (
            f'<form method="post" action="{base}/salons/{salon_id}/{action}">'
            f"<button{css}>{label}</button></form>"
        )

    if status is InstallStatus.ACTIVE:
        buttons = [("connect", "Открыть настройки", "primary"), ("pay", "Оплатить", "")]
        buttons += [("freeze", "Заморозить", ""), ("uninstall", "Удалить приложение", "danger")]
    elif status is InstallStatus.FREEZED:
        buttons = [("pay", "Оплатить", "primary"), ("uninstall", "Удалить приложение", "danger")]
    elif status is InstallStatus.PENDING:
        buttons = [("connect", "Продолжить подключение", "primary"), ("uninstall", "Отменить", "danger")]
    else:
        buttons = [("connect", "Подключить", "primary")]
    return "".join(button(*parts) for parts in buttons)


def _last_change(install: Installation | None) -> str:
    if install is None or not install.logs:
        return ""
    last = install.logs[-1]
    moment = datetime.strptime(last.changed_at, "%Y-%m-%d %H:%M:%S").strftime("%d.%m.%Y %H:%M")
    return f"<br>Изменено {moment} МСК, источник: {SOURCE_LABELS.get(last.source, last.source)}"


def _delivery_words(delivery: Delivery) -> str:
    if delivery.state is DeliveryState.PENDING:
        return f"отправляется, попыток: {len(delivery.attempts)}"
    last = delivery.attempts[-1]
    answer = f"ответ {last.status}" if last.status is not None else "нет ответа"
    return f"{answer}, попыток: {len(delivery.attempts)}"
