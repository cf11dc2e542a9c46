"""A sandbox of its own for every test, a client that speaks to it, and a service that it speaks to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest_asyncio
from aiohttp import web

from sandbox.yclients import SandboxYClients

TOKEN = "2t6u73mrh85btb8wgyfj"
APPLICATION = 456
SALON = 307626
OTHER_SALON = 412870
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/vnd.yclients.v2+json"}
KEY = "a1" * 32


@dataclass
class Answer:
    """A response already read: `body` is the JSON, or the text when it is none."""

    status: int
    headers: Any
    body: Any


@dataclass
class Product:
    """The service as the sandbox sees it: what came in, and what to answer next (200 by default).

    `silent` takes requests and never answers.
    """

    url: str = ""
    received: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)
    silent: bool = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.received.append((request.path, dict(request.headers), await request.text()))
        if self.silent:
            await asyncio.Event().wait()
        return self.answers.pop(0) if self.answers else web.json_response({})


class Client:
    """Calls the sandbox; redirects are never followed and connections never shared."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> Answer:
        async with self._session.request(
            method,
            self._url + path,
            json=body,
            headers=HEADERS if headers is None else headers,
            allow_redirects=False,
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answer(response.status, response.headers, (await response.json()) if is_json else text)

    async def get(self, path: str, **kwargs: Any) -> Answer:
        return await self.call("GET", path, **kwargs)

    async def post(self, path: str, body: Any, **kwargs: Any) -> Answer:
        return await self.call("POST", path, body, **kwargs)

    async def activate(self, *, salon: int = SALON, endpoint: str = "/redirect", **changes: Any) -> Answer:
        body = {"salon_id": salon, "application_id": APPLICATION, "api_key": KEY, "webhook_urls": []}
        if not endpoint:
            body["channels"] = ["whatsapp"]
        return await self.post(f"/marketplace/partner/callback{endpoint}", {**body, **changes})

    async def status(self, salon: int = SALON) -> Answer:
        return await self.get(f"/marketplace/salon/{salon}/application/{APPLICATION}")


@pytest_asyncio.fixture
async def product() -> AsyncIterator[Product]:
    service = Product()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", service.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield service
    await runner.cleanup()


@pytest_asyncio.fixture
async def yclients(product: Product) -> AsyncIterator[SandboxYClients]:
    sandbox = SandboxYClients(
        partner_token=TOKEN,
        application_id=APPLICATION,
        product_url=product.url,
        enforce_limits=False,
        webhook_patience=0.3,
        webhook_pause=0.01,
    )
    async with sandbox:
        yield sandbox


@pytest_asyncio.fixture
async def client(yclients: SandboxYClients) -> AsyncIterator[Client]:
    # A fresh connection each time: aiohttp repeats a GET silently when a kept connection turns out dead.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield Client(yclients.url, session)
