"""The sandbox's WhatsApp as one object: sockets, settings, phones and faults."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from aiohttp import web

from . import phones, tls
from .account import Device, InboxMessage
from .control import build_application
from .hub import Hub, Options
from .line import PATH, Line
from .store import Store
from .trouble import cause

HOST = "127.0.0.1"


class SandboxWhatsApp:
    """A local WhatsApp server with phones. Start and stop it on one event loop.

    Ports of 0 are chosen by the system. With ``state_dir`` the authority, keys, accounts, linked devices
    and sessions survive a restart; without it they live in memory and a temporary folder.
    After ``start``: ``proxy_url``, ``ca_file``, ``noise_root`` (64 hex digits), ``ws_url``, ``control_url``.
    Methods that act on a phone raise ``Refused`` with a sentence and an HTTP status.
    """

    def __init__(
        self, *, proxy_port: int = 0, ws_port: int = 0, control_port: int = 0, host: str = HOST,
        state_dir: Path | str | None = None, options: Options | None = None,
    ) -> None:  # fmt: skip
        self.ports = (proxy_port, ws_port, control_port)
        self.host = host
        self.state_dir = Path(state_dir) if state_dir else None
        self.options = options or Options()
        self.proxy_url = self.ca_file = self.noise_root = self.ws_url = self.control_url = ""
        self._servers: list[asyncio.Server] = []
        self._runner: web.AppRunner | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    async def start(self) -> None:
        """Open all ports; raises OSError when one is taken."""
        if self.state_dir:
            self.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = Store(self.state_dir)
        self.hub = Hub(store, self.options)
        context = tls.server_context(*self._authority(store))
        loop = asyncio.get_running_loop()
        proxy = await loop.create_server(
            lambda: Line(self.hub, context), self.host, self.ports[0], backlog=1024
        )
        plain = await loop.create_server(lambda: Line(self.hub, None), self.host, self.ports[1], backlog=1024)
        self._servers = [proxy, plain]
        self._runner = web.AppRunner(build_application(self), access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.ports[2])
        await site.start()
        self.proxy_url = f"http://{self.host}:{_port(proxy)}"
        self.ws_url = f"ws://{self.host}:{_port(plain)}{PATH}"
        self.control_url = f"http://{self.host}:{self._runner.addresses[0][1]}"
        self.noise_root = self.hub.noise_identity.root.public.hex()

    def _authority(self, store: Store) -> tuple[str, str]:
        folder = self.state_dir
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="sandbox-whatsapp-")
            folder = Path(self._temporary.name)
        kept = store.get("meta", "authority")
        certificate, key = kept or tls.new_authority()
        store.put("meta", "authority", [certificate, key])
        path = folder / "ca.pem"
        path.write_text(certificate)
        self.ca_file = str(path)
        return certificate, key

    async def stop(self) -> None:
        """Cut every line and close; state is in the folder when there is one."""
        for server in self._servers:
            server.close()
        for connection in list(self.hub.everyone):
            connection.drop("server stopped")
        for line in list(self.hub.lines):
            line.abort()
        for server in self._servers:
            await server.wait_closed()
        if self._runner:
            await self._runner.cleanup()
        self.hub.store.close()
        if self._temporary:
            self._temporary.cleanup()

    def settings(self) -> dict[str, str]:
        """The product's settings that lead its engine here."""
        return {
            "WHATSAPP_PROXY_URL": self.proxy_url,
            "WHATSAPP_CA_FILE": self.ca_file,
            "WHATSAPP_NOISE_ROOT": self.noise_root,
            "ws_url": self.ws_url,
            "control_url": self.control_url,
        }

    def state(self) -> dict[str, Any]:
        """Counters, standing faults, and how many connections there are of each kind."""
        everyone = self.hub.everyone
        return self.hub.journal.counters() | {
            "connections": len(everyone),
            "registering": sum(1 for c in everyone if c.pairing and not c.ending),
            "phones": len(self.hub.accounts),
            "faults": self.hub.faults.describe(),
        }

    def journal(self, since: int = 0) -> list[dict[str, Any]]:
        return self.hub.journal.since(since)

    def create_phone(
        self, phone: str, name: str = "", *, auto_read: bool | None = None, registered: bool | None = None
    ) -> dict[str, Any]:
        account = phones.create(self.hub, phone=phone, name=name, auto_read=auto_read, registered=registered)
        return phones.describe(self.hub, account)

    def list_phones(self) -> list[dict[str, Any]]:
        return [phones.describe(self.hub, account) for account in self.hub.accounts.values()]

    def phone(self, phone: str) -> dict[str, Any]:
        return phones.describe(self.hub, self.hub.existing(phone), full=True)

    async def scan(self, phone: str, qr: str) -> Device:
        return await phones.scan(self.hub, phone=phone, qr=qr)

    async def enter_code(self, phone: str, code: str) -> Device:
        return await phones.enter_code(self.hub, phone=phone, code=code)

    def send(self, phone: str, to: str, text: str) -> InboxMessage:
        return phones.send(self.hub, phone=phone, to=to, text=text)

    def read(self, phone: str, chat: str | None = None) -> int:
        return phones.read(self.hub, phone=phone, chat=chat)

    def remove_devices(self, phone: str, device: int | None = None) -> int:
        return phones.remove_devices(self.hub, phone=phone, device=device)

    def set_online(self, phone: str, online: bool) -> None:
        phones.set_online(self.hub, phone=phone, online=online)

    def fault(self, kind: str, phone: str | None = None, **more: Any) -> dict[str, Any]:
        """Cause trouble now or for later; see ``trouble.cause`` for kinds and their fields."""
        return cause(self.hub, kind, phone, more)


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
