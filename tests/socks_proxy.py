"""A SOCKS5 proxy that asks for user and password (RFC 1928, RFC 1929) and counts what it let through."""

import asyncio

from tests.connect_proxy import TunnelProxy, carry

BY_PASSWORD, CONNECT, BY_NAME = 2, 1, 3
SUCCEEDED = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


class SocksProxy(TunnelProxy):
    """Asks for the password as RFC 1929 says; `upstream` gets a CONNECT request."""

    def __init__(self, upstream: str, *, user: str, password: str) -> None:
        super().__init__(upstream)
        self._login = user.encode(), password.encode()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        _version, methods = await reader.readexactly(2)
        if BY_PASSWORD not in await reader.readexactly(methods):
            writer.close()
            return
        writer.write(bytes([5, BY_PASSWORD]))
        await reader.readexactly(1)
        login = await _text(reader), await _text(reader)
        writer.write(b"\x01\x00" if login == self._login else b"\x01\x01")
        if login != self._login:
            writer.close()
            return
        _version, command, _reserved, kind = await reader.readexactly(4)
        if (command, kind) != (CONNECT, BY_NAME):
            writer.close()
            return
        name = await _text(reader)
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.tunnels += 1
        there_reader, there_writer = await asyncio.open_connection(*self._upstream)
        self._writers.append(there_writer)
        there_writer.write(b"CONNECT %s:%d HTTP/1.1\r\n\r\n" % (name, port))
        await there_reader.readuntil(b"\r\n\r\n")
        writer.write(SUCCEEDED)
        await asyncio.gather(carry(reader, there_writer), carry(there_reader, writer))


async def _text(reader: asyncio.StreamReader) -> bytes:
    """A byte with the length, then as many bytes."""
    return await reader.readexactly((await reader.readexactly(1))[0])
