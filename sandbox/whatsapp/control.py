"""The control API and the page of the phones."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from .account import Device
from .operations import Operations
from .refusal import Refused

PAGE = Path(__file__).with_name("page.html")
LARGEST_FILE = 100 << 20
SHOWN = ("image/jpeg", "image/png", "image/webp")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _sentences(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error is JSON with a sentence, and what is answered is on disk."""
    try:
        answer = await handler(request)
        await asyncio.sleep(0)  # the store commits in the loop's next turn
        return answer
    except Refused as error:
        return web.json_response({"error": error.sentence}, status=error.status)
    except web.HTTPException as error:
        return web.json_response({"error": error.reason}, status=error.status)


class Control:
    """Request handlers; each parses, makes one call and answers JSON."""

    def __init__(self, sandbox: Operations) -> None:
        self.sandbox = sandbox

    async def page(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=PAGE.read_text(), content_type="text/html")

    async def settings(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.sandbox.settings())

    async def state(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.sandbox.state())

    async def journal(self, request: web.Request) -> web.StreamResponse:
        since = request.query.get("since", "0")
        if not since.isdecimal():
            raise Refused(400, "since is the number of the last event that was seen.")
        return web.json_response({"events": self.sandbox.journal(int(since))})

    async def phones(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"phones": self.sandbox.list_phones()})

    async def create_phone(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        created = self.sandbox.create_phone(
            _text(body, "phone"),
            str(body.get("name") or ""),
            auto_read=_flag(body, "auto_read"),
            registered=_flag(body, "registered"),
        )
        return web.json_response(created, status=201)

    async def phone(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.sandbox.phone(_phone(request)))

    async def scan(self, request: web.Request) -> web.StreamResponse:
        qr = _text(await _body(request), "qr")
        return _linked(await self.sandbox.scan(_phone(request), qr))

    async def scan_image(self, request: web.Request) -> web.StreamResponse:
        image = await request.read()
        qr = await asyncio.to_thread(read_qr_image, image)
        return _linked(await self.sandbox.scan(_phone(request), qr))

    async def enter_code(self, request: web.Request) -> web.StreamResponse:
        code = _text(await _body(request), "code")
        return _linked(await self.sandbox.enter_code(_phone(request), code))

    async def send(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        message = self.sandbox.send(_phone(request), _text(body, "to"), _text(body, "text"))
        return web.json_response(asdict(message), status=201)

    async def send_file(self, request: web.Request) -> web.StreamResponse:
        """The body is the file; what is said of it is in the query: to, kind, name, caption."""
        query = request.query
        message = self.sandbox.send_file(
            _phone(request),
            query.get("to", ""),
            query.get("kind", ""),
            await request.read(),
            mime=query.get("mime") or request.content_type,
            name=query.get("name", ""),
            caption=query.get("caption", ""),
        )
        return web.json_response(asdict(message), status=201)

    async def send_place(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        try:
            latitude, longitude = float(body["latitude"]), float(body["longitude"])
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(400, "latitude and longitude must be numbers.") from error
        name = str(body.get("name") or "")
        message = self.sandbox.send_place(_phone(request), _text(body, "to"), latitude, longitude, name)
        return web.json_response(asdict(message), status=201)

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Pictures to look at, all else to save: a document's type is its sender's word, and may be HTML."""
        mime, data = self.sandbox.file(_phone(request), request.match_info["message"])
        shown = mime in SHOWN
        headers = {
            "Content-Type": mime if shown else "application/octet-stream",
            "Content-Disposition": "inline" if shown else "attachment",
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(body=data, headers=headers)

    async def read(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        chat = _text(body, "chat") if body.get("chat") else None
        return web.json_response({"read": self.sandbox.read(_phone(request), chat)})

    async def remove_devices(self, request: web.Request) -> web.StreamResponse:
        device = (await _body(request)).get("device")
        if device is not None and not isinstance(device, int):
            raise Refused(400, "device is the number of a linked device.")
        return web.json_response({"removed": self.sandbox.remove_devices(_phone(request), device)})

    async def online(self, request: web.Request) -> web.StreamResponse:
        online = _flag(await _body(request), "online")
        if online is None:
            raise Refused(400, "Say whether the phone is online: true or false.")
        self.sandbox.set_online(_phone(request), online)
        return web.json_response({"online": online})

    async def faults(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        kind, phone = _text(body, "kind"), body.get("phone")
        more = {key: value for key, value in body.items() if key not in ("kind", "phone")}
        return web.json_response(self.sandbox.fault(kind, str(phone) if phone else None, **more))


def build_application(sandbox: Operations) -> web.Application:
    control = Control(sandbox)
    application = web.Application(middlewares=[_sentences], client_max_size=LARGEST_FILE)
    one = "/phones/{phone}"
    application.add_routes([
        web.get("/", control.page),
        web.get("/settings", control.settings),
        web.get("/state", control.state),
        web.get("/journal", control.journal),
        web.get("/phones", control.phones),
        web.post("/phones", control.create_phone),
        web.get(one, control.phone),
        web.post(one + "/scan", control.scan),
        web.post(one + "/scan-image", control.scan_image),
        web.post(one + "/enter-code", control.enter_code),
        web.post(one + "/send", control.send),
        web.post(one + "/send-file", control.send_file),
        web.post(one + "/send-place", control.send_place),
        web.get(one + "/files/{message}", control.file),
        web.post(one + "/read", control.read),
        web.post(one + "/remove-devices", control.remove_devices),
        web.post(one + "/online", control.online),
        web.post("/faults", control.faults),
    ])  # fmt: skip
    return application


def read_qr_image(image: bytes) -> str:
    """The text of the QR code in a picture; raises Refused. Needs zxing-cpp and Pillow."""
    try:
        import zxingcpp
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise Refused(501, "Reading pictures needs the packages zxing-cpp and Pillow.") from error
    try:
        with Image.open(io.BytesIO(image)) as picture:
            found = zxingcpp.read_barcodes(picture.convert("L"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise Refused(400, "This is not a picture.") from error
    if not found:
        raise Refused(422, "There is no QR code in this picture.")
    return str(found[0].text)


async def _body(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Refused(400, "The body is not JSON.") from error
    if not isinstance(body, dict):
        raise Refused(400, "The body is not a JSON object.")
    return body


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused(400, f"{name} is missing.")
    return value


def _flag(body: dict[str, Any], name: str) -> bool | None:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise Refused(400, f"{name} must be true or false.")
    return value


def _phone(request: web.Request) -> str:
    return request.match_info["phone"]


def _linked(device: Device) -> web.StreamResponse:
    return web.json_response({"device": device.number, "platform": device.platform})
