"""The rest of the marketplace API: payments, tariffs, discounts, channels, sender names."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from sandbox.yclients.api import check_application, path_number
from sandbox.yclients.context import context_of
from sandbox.yclients.errors import ApiError, success
from sandbox.yclients.fields import CHANNELS, Fields, query_number, read_object


def routes() -> list[web.RouteDef]:
    """Routes; a route's name is the endpoint's name for faults and the journal."""
    application = "/marketplace/application"
    return [
        web.post("/marketplace/partner/payment", payment, name="payment"),
        web.post("/marketplace/partner/payment/refund/{payment_id}", refund, name="refund"),
        web.get(application + "/payment_link", payment_link, name="payment_link", allow_head=False),
        web.get(application + "/{application_id}/tariffs", tariffs, name="tariffs", allow_head=False),
        web.post(application + "/add_discount", discount, name="discount"),
        web.post(application + "/update_channel", channel, name="channel"),
        web.post("/marketplace/partner/short_names", short_names, name="short_names"),
    ]


async def payment(request: web.Request) -> web.Response:
    """`POST …/partner/payment`: the application was paid on the partner's side."""
    context = context_of(request)
    fields = Fields(await read_object(request))
    salon_id, application_id = fields.positive("salon_id"), fields.positive("application_id")
    payment_sum = fields.number("payment_sum", low=0)
    currency = fields.text("currency_iso", longest=3)
    if "currency_iso" not in fields.errors and not (len(currency) == 3 and currency.isupper()):
        fields.complain("currency_iso", "Должно быть кодом валюты из трёх заглавных букв.")
    paid, start, end = (fields.moment(name) for name in ("payment_date", "period_from", "period_to"))
    if not fields.errors and start > end:
        fields.complain("period_to", "Должно быть не раньше period_from.")
    fields.check()
    check_application(context, application_id)
    made = context.marketplace.pay(
        salon_id=salon_id,
        payment_sum=payment_sum,
        currency_iso=currency,
        payment_date=paid,
        period_from=start,
        period_to=end,
    )
    return success({"id": made.id})


async def refund(request: web.Request) -> web.Response:
    """`POST …/partner/payment/refund/{id}`."""
    made = context_of(request).marketplace.refund(path_number(request, "payment_id"))
    return success({"id": made.id})


async def payment_link(request: web.Request) -> web.Response:
    """`GET …/payment_link?salon_id=&application_id=&discount=`; 404 when there are no tariffs."""
    context = context_of(request)
    salon_id = query_number(request, "salon_id")
    check_application(context, query_number(request, "application_id"))
    percent = query_number(request, "discount", default=0, low=0, high=100)
    context.marketplace.salon(salon_id)
    if not context.marketplace.tariffs:
        raise ApiError(404, "У приложения нет тарифов.")
    query = urlencode({"salon_id": salon_id, "discount": percent})
    return success({"url": f"{context.public_url}/pay?{query}"})


async def tariffs(request: web.Request) -> web.Response:
    """`GET …/application/{id}/tariffs`."""
    context = context_of(request)
    check_application(context, path_number(request, "application_id"))
    return success(context.marketplace.tariffs)


async def discount(request: web.Request) -> web.Response:
    """`POST …/add_discount`: percent off for some salons, all of them or none."""
    context = context_of(request)
    fields = Fields(await read_object(request))
    salon_ids, application_id = fields.positives("salon_ids"), fields.positive("application_id")
    percent = fields.number("discount", low=1, high=100)
    fields.check()
    check_application(context, application_id)
    for install in [context.marketplace.connected(salon_id) for salon_id in salon_ids]:
        install.discount = percent
    context.marketplace.changed()
    return success(None)


async def channel(request: web.Request) -> web.Response:
    """`POST …/update_channel`: whether a salon's messages can go out."""
    context = context_of(request)
    fields = Fields(await read_object(request))
    salon_id, application_id = fields.positive("salon_id"), fields.positive("application_id")
    slug, available = fields.choice("channel_slug", CHANNELS), fields.flag("is_available")
    fields.check()
    check_application(context, application_id)
    context.marketplace.connected(salon_id).channels[slug] = available
    context.marketplace.changed()
    return success(None)


async def short_names(request: web.Request) -> web.Response:
    """`POST …/short_names`: sender names that a salon may choose from."""
    context = context_of(request)
    fields = Fields(await read_object(request))
    salon_id, application_id = fields.positive("salon_id"), fields.positive("application_id")
    names = fields.texts("short_names")
    fields.check()
    check_application(context, application_id)
    context.marketplace.connected(salon_id).short_names = names
    context.marketplace.changed()
    return success(None)
