"""A tunnel through the proxy port: bytes of a client to one of our servers and back."""

from __future__ import annotations

import asyncio
from typing import cast

from .hub import Hub


class Relay(asyncio.Protocol):
    """One end of a tunnel: what comes in here goes out at `other`."""

    def __init__(self, hub: Hub, other: asyncio.Transport) -> None:
        self.hub, self.other = hub, other
        self.transport: asyncio.Transport | None = None
        hub.relays.add(other)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.other.write(data)

    def pause_writing(self) -> None:
        self.other.pause_reading()

    def resume_writing(self) -> None:
        self.other.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.hub.relays.discard(self.other)
        self.other.close()


async def open_tunnel(hub: Hub, client: asyncio.Transport, port: int, greeting: bytes) -> None:
    """Join the client with our server on the port, and greet it then."""
    try:
        server, _ = await asyncio.get_running_loop().create_connection(
            lambda: Relay(hub, client), "127.0.0.1", port
        )
    except OSError:
        client.abort()
        return
    client.set_protocol(Relay(hub, server))
    client.write(greeting)
