"""The sandbox's WhatsApp as one object: sockets, settings, phones and faults."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from pathlib import Path

from aiohttp import web

from . import tls
from .control import build_application
from .hub import Hub, Options
from .line import PATH, Line
from .media_files import MediaFiles
from .media_server import MediaServer
from .operations import Operations
from .store import Store

HOST = "127.0.0.1"


class SandboxWhatsApp(Operations):
    """A local WhatsApp server with phones. Start and stop it on one event loop.

    Ports of 0 are chosen by the system. With ``state_dir`` the authority, keys, accounts, linked devices
    and sessions survive a restart; without it they live in memory and a temporary folder.
    After ``start``: ``proxy_url``, ``ca_file``, ``noise_root`` (64 hex digits), ``ws_url``, ``control_url``.
    """

    def __init__(
        self, *, proxy_port: int = 0, ws_port: int = 0, control_port: int = 0, host: str = HOST,
        state_dir: Path | str | None = None, options: Options | None = None,
    ) -> None:  # fmt: skip
        self.ports = (proxy_port, ws_port, control_port)
        self.host = host
        self.state_dir = Path(state_dir) if state_dir else None
        self.options = options or Options()
        self._servers: list[asyncio.Server] = []
        self._runners: list[web.AppRunner] = []
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    async def start(self) -> None:
        """Open all ports; raises OSError when one is taken."""
        if self.state_dir:
            self.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = Store(self.state_dir)
        self.hub = Hub(store, MediaFiles(self._folder() / "media"), self.options)
        context = tls.server_context(*self._authority(store))
        loop = asyncio.get_running_loop()
        proxy = await loop.create_server(
            lambda: Line(self.hub, context), self.host, self.ports[0], backlog=1024
        )
        plain = await loop.create_server(lambda: Line(self.hub, None), self.host, self.ports[1], backlog=1024)
        self._servers = [proxy, plain]
        self.hub.media_port = await self._serve(MediaServer(self.hub).application(), 0, context)
        control_port = await self._serve(build_application(self), self.ports[2])
        self.proxy_url = f"http://{self.host}:{_port(proxy)}"
        self.ws_url = f"ws://{self.host}:{_port(plain)}{PATH}"
        self.control_url = f"http://{self.host}:{control_port}"
        self.noise_root = self.hub.noise_identity.root.public.hex()

    def _folder(self) -> Path:
        if self.state_dir is not None:
            return self.state_dir
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="sandbox-whatsapp-")
        return Path(self._temporary.name)

    def _authority(self, store: Store) -> tuple[str, str]:
        kept = store.get("meta", "authority")
        certificate, key = kept or tls.new_authority()
        store.put("meta", "authority", [certificate, key])
        path = self._folder() / "ca.pem"
        path.write_text(certificate)
        self.ca_file = str(path)
        return certificate, key

    async def _serve(
        self, application: web.Application, port: int, context: ssl.SSLContext | None = None
    ) -> int:
        """Serve HTTP, or HTTPS with a context; returns the port."""
        runner = web.AppRunner(application, access_log=None)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, self.host, port, ssl_context=context).start()
        chosen: int = runner.addresses[0][1]
        return chosen

    async def stop(self) -> None:
        """Cut every line and close; state is in the folder when there is one."""
        for server in self._servers:
            server.close()
        for connection in list(self.hub.everyone):
            connection.drop("server stopped")
        for line in list(self.hub.lines):
            line.abort()
        for transport in list(self.hub.relays):
            transport.abort()
        for server in self._servers:
            await server.wait_closed()
        for runner in self._runners:
            await runner.cleanup()
        self.hub.store.close()
        if self._temporary:
            self._temporary.cleanup()
            self._temporary = None


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
