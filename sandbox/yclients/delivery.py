"""`POST /api/v1/sms/delivery/<partner token>`: the operator reports what became of notifications."""

from __future__ import annotations

import hmac
from typing import Any

from aiohttp import web

from sandbox.yclients.context import Context, context_of
from sandbox.yclients.errors import ApiError, success
from sandbox.yclients.notifications import CALLBACK_PATH, PRICED, STATUS_WORDS, StatusEntry


def routes() -> list[web.RouteDef]:
    """The one route; its name is the endpoint's name for faults and the journal."""
    return [web.post(CALLBACK_PATH + "/{token}", receive, name="delivery_callback")]


async def receive(request: web.Request) -> web.Response:
    """Take an array of status reports, all of them or none."""
    context = context_of(request)
    expected = context.settings.partner_token.encode()
    if not hmac.compare_digest(request.match_info["token"].encode(), expected):
        raise ApiError(403, "Недостаточно прав.")
    try:
        rows = await request.json()
    except ValueError as error:
        raise ApiError(400, "Тело запроса не является JSON.") from error
    if not isinstance(rows, list) or not rows:
        raise ApiError(422, "Тело запроса должно быть непустым списком статусов.")
    for index, row in enumerate(rows):
        _check(index, row)
    unknown = [row["id"] for row in rows if row["id"] not in context.notifier.notifications]
    if unknown:
        raise ApiError(404, "Сообщение не найдено.", errors={"id": unknown})
    for row in rows:
        context.notifier.receive(row["id"], _entry(context, row))
    return success(None)


def _check(index: int, row: Any) -> None:
    problem = None
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        problem = "Нужен объект со строковым id."
    elif row.get("status") not in STATUS_WORDS:
        problem = "Неизвестный status."
    elif row["status"] in PRICED and not _priced(row):
        problem = "Со статусами 8 и 1 обязательны payment_sum, currency_iso и parts_amount."
    if problem:
        raise ApiError(422, "Произошла ошибка валидации.", errors={str(index): [problem]})


def _priced(row: dict[str, Any]) -> bool:
    amount, parts = row.get("payment_sum"), row.get("parts_amount")
    return (
        isinstance(amount, int | float)
        and not isinstance(amount, bool)
        and isinstance(row.get("currency_iso"), str)
        and isinstance(parts, int)
        and not isinstance(parts, bool)
    )


def _entry(context: Context, row: dict[str, Any]) -> StatusEntry:
    return StatusEntry(
        at=context.clock.now().isoformat(),
        status=row["status"],
        payment_sum=row.get("payment_sum"),
        currency_iso=row.get("currency_iso"),
        parts_amount=row.get("parts_amount"),
    )
