"""The part of YCLIENTS' API that an installation needs: salon, activation, state, list, removal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from sandbox.yclients.context import Context, context_of
from sandbox.yclients.errors import ApiError, success
from sandbox.yclients.fields import CHANNELS, Fields, query_number, read_object
from sandbox.yclients.salons import Installation, InstallStatus, Salon


def routes() -> list[web.RouteDef]:
    """Routes; a route's name is the endpoint's name for faults and the journal."""
    installed = "/marketplace/salon/{salon_id}/application/{application_id}"
    return [
        web.get("/api/v1/company/{salon_id}", company, name="company", allow_head=False),
        web.post("/marketplace/partner/callback", callback, name="callback"),
        web.post("/marketplace/partner/callback/redirect", callback_redirect, name="callback_redirect"),
        web.get(installed, install_status, name="install_status", allow_head=False),
        web.post(installed + "/uninstall", uninstall, name="uninstall"),
        web.get("/marketplace/application/{application_id}/salons", salons, name="salons", allow_head=False),
    ]


def path_number(request: web.Request, name: str) -> int:
    """A positive number from the path; anything else names nothing that exists: 404."""
    raw = request.match_info[name]
    if not raw.isdecimal() or int(raw) < 1:
        raise ApiError(404, "Страница не найдена.")
    return int(raw)


def check_application(context: Context, application_id: int) -> None:
    """403 when the number is another application's."""
    if application_id != context.settings.application_id:
        raise ApiError(403, "Недостаточно прав для работы с этим приложением.")


async def company(request: web.Request) -> web.Response:
    """`GET /api/v1/company/{id}`: what a salon says about itself."""
    salon = context_of(request).marketplace.salon(path_number(request, "salon_id"))
    return success(
        {
            "id": salon.id,
            "title": salon.title,
            "public_title": salon.title,
            "short_descr": "Салон красоты",
            "city": salon.city,
            "address": salon.address,
            "phone": salon.phone,
            "phones": [salon.phone],
            "email": salon.email,
            "timezone": salon.utc_offset,
            "timezone_name": salon.timezone_name,
            "active": 1,
        }
    )


async def callback(request: web.Request) -> web.Response:
    """`POST /marketplace/partner/callback`: activation, answered 201."""
    install = await _activate(request, with_channels=True)
    return success({"connection_status": connection_status(install)}, status=201)


async def callback_redirect(request: web.Request) -> web.Response:
    """`POST /marketplace/partner/callback/redirect`: activation, answered 301 to a page for a browser."""
    install_of = await read_object(request)
    await _activate(request, with_channels=False)
    location = f"{context_of(request).public_url}/back?salon_id={install_of['salon_id']}"
    # As YCLIENTS does: a browser's answer, HTML and not JSON, to a request of a server.
    return web.Response(
        status=301,
        headers={"Location": location},
        text="<!DOCTYPE html><title>Redirecting</title><p>Redirecting</p>",
        content_type="text/html",
    )


async def _activate(request: web.Request, *, with_channels: bool) -> Installation:
    context = context_of(request)
    fields = Fields(await read_object(request))
    salon_id, application_id = fields.positive("salon_id"), fields.positive("application_id")
    api_key, webhook_urls = fields.text("api_key"), fields.webhook_urls()
    channels = fields.texts("channels", allowed=CHANNELS) if with_channels else ["whatsapp"]
    fields.check()
    check_application(context, application_id)
    return context.marketplace.activate(
        salon_id=salon_id, api_key=api_key, webhook_urls=webhook_urls, channels=channels
    )


async def install_status(request: web.Request) -> web.Response:
    """`GET …/salon/{id}/application/{id}`: the installation, its log and its payments."""
    context = context_of(request)
    check_application(context, path_number(request, "application_id"))
    install = context.marketplace.installation(path_number(request, "salon_id"))
    return success(
        {
            "connection_status": connection_status(install),
            "logs": [asdict(entry) for entry in install.logs],
            "payments": [asdict(payment) for payment in install.payments],
        }
    )


async def uninstall(request: web.Request) -> web.Response:
    """`POST …/uninstall`: the application removes itself; no lifecycle webhook follows its own act."""
    context = context_of(request)
    check_application(context, path_number(request, "application_id"))
    salon_id = path_number(request, "salon_id")
    if context.marketplace.installation(salon_id).status == InstallStatus.UNINSTALLED:
        raise ApiError(404, "Приложение не установлено в этом филиале.")
    context.marketplace.uninstall(salon_id, source="application")
    return success(None)


async def salons(request: web.Request) -> web.Response:
    """`GET …/application/{id}/salons?page=&count=`: salons where the application is in use."""
    context = context_of(request)
    check_application(context, path_number(request, "application_id"))
    page = query_number(request, "page", default=1)
    count = query_number(request, "count", default=25, high=1000)
    using = [row for salon in list(context.marketplace.salons) if (row := _list_row(context, salon))]
    rows = using[(page - 1) * count : page * count]
    return success(rows, meta={"total_count": len(using), "page": page, "count": count})


def connection_status(install: Installation) -> dict[str, str]:
    """The `connection_status` object."""
    return {"status": install.status.value, "created_at": install.created_at}


def _list_row(context: Context, salon_id: int) -> dict[str, Any] | None:
    salon: Salon = context.marketplace.salon(salon_id)
    install = salon.installation
    if install is None or install.status == InstallStatus.UNINSTALLED:
        return None
    return {
        "salon_id": salon.id,
        "title": salon.title,
        "connection_status": connection_status(install),
    }
