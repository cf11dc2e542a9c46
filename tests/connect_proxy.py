"""An HTTP CONNECT proxy that asks for a password and counts what it let through."""

import asyncio
import base64
import ssl
from typing import Self
from urllib.parse import urlsplit

CHUNK = 64 * 1024
REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class TunnelProxy:
    """Listens on loopback; hands each permitted tunnel on to `upstream`, a CONNECT proxy's URL."""

    def __init__(self, upstream: str, *, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(upstream)
        self._upstream = parts.hostname, parts.port
        self._tls = tls
        self._writers: list[asyncio.StreamWriter] = []
        self.host = ""  # host:port
        self.tunnels = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.host = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class ConnectProxy(TunnelProxy):
    """Asks for the password in the header of HTTP; `upstream` gets the request as it came."""

    def __init__(self, upstream: str, *, user: str, password: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(upstream, tls=tls)
        self._login = base64.b64encode(f"{user}:{password}".encode())
        self.refused = 0

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Proxy-Authorization: Basic " + self._login not in head.split(b"\r\n"):
            self.refused += 1
            writer.write(REFUSED)
            writer.close()
            return
        self.tunnels += 1
        there_reader, there_writer = await asyncio.open_connection(*self._upstream)
        self._writers.append(there_writer)
        there_writer.write(head)
        await asyncio.gather(carry(reader, there_writer), carry(there_reader, writer))


async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy bytes until one side ends."""
    try:
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        return  # one side is gone, and with it what was to be carried
    finally:
        sink.close()
