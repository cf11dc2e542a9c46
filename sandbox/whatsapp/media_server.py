"""WhatsApp's media hosts: companions upload encrypted files and fetch them by HTTPS."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable

from aiohttp import web

from .hub import Hub

HOST_NAME = "mmg.whatsapp.net"
LARGEST_UPLOAD = 100 << 20
ENDLESS = 256 << 20  # bytes of a download that is much larger than its message says
PIECE = bytes(1 << 16)
DRIP = 0.2  # seconds between two bytes of a slow download
LOOK_AGAIN = 0.1  # seconds

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class MediaServer:
    """Takes POST /mms/<type>/<hash> with the token of `media_conn`, and serves GET <direct path>."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def application(self) -> web.Application:
        application = web.Application(client_max_size=LARGEST_UPLOAD)
        application.add_routes([
            web.post("/mms/{type}/{token}", self.upload),
            web.get("/v/{name}", self.download),
        ])  # fmt: skip
        return application

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Keep an encrypted file under its hash, which the address and the query name."""
        fault = self.hub.faults.take_media_fault()
        if fault == "hang":
            await request.read()
            return await self._hang(request)
        if fault:
            return web.Response(status=503 if fault == "unavailable" else 404)
        token = request.match_info["token"]
        if request.query.get("auth") != self.hub.media_token or request.query.get("token") != token:
            self.hub.journal.note("media_refused", why="no right token")
            return web.Response(status=401)
        data = await request.read()
        if base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode() != token:
            self.hub.journal.note("media_refused", why="the body has another hash")
            return web.Response(status=400)
        path = self.hub.media.put(data)
        self.hub.journal.note("media_uploaded", media=request.match_info["type"], size=len(data))
        return web.json_response({"url": f"https://{HOST_NAME}{path}", "direct_path": path})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """The encrypted file, or the trouble that was asked for."""
        data = self.hub.media.get(request.match_info["name"])
        fault = self.hub.faults.take_media_fault()
        self.hub.journal.note("media_asked", fault=fault)
        if fault == "unavailable":
            return web.Response(status=503)
        if data is None or fault == "missing":
            return web.Response(status=404)
        if fault == "redirect":
            return web.Response(status=302, headers={"Location": "https://elsewhere.example/"})
        if fault == "corrupt":
            data = data[:20] + bytes([data[20] ^ 1]) + data[21:]
        if fault == "hang":
            return await self._hang(request)
        if fault in ("slow", "endless"):
            return await self._trickle(request, endless=fault == "endless")
        return web.Response(body=data, content_type="application/octet-stream")

    async def _hang(self, request: web.Request) -> web.StreamResponse:
        """Answer nothing until the other side has gone."""
        self.hub.journal.note("media_hangs")
        while request.transport and not request.transport.is_closing():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(LOOK_AGAIN)
        return web.Response(status=503)

    async def _trickle(self, request: web.Request, *, endless: bool) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(ENDLESS // len(PIECE)):
            await response.write(PIECE if endless else b"\0")
            await asyncio.sleep(0 if endless else DRIP)
        return response
