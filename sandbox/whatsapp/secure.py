"""TLS on bytes in memory: asyncio's own keeps a quarter of a megabyte for every connection."""

from __future__ import annotations

import contextlib
import ssl


class SecureStream:
    """The server's end of one TLS connection. What is to go out waits in ``outgoing``."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.shaken = False

    def receive(self, data: bytes) -> bytes:
        """Takes bytes from the net, gives plain ones; raises ssl.SSLError when the client is at fault."""
        self.incoming.write(data)
        plain = bytearray()
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):  # nothing more for now
            if not self.shaken:
                self.object.do_handshake()
                self.shaken = True
            while part := self.object.read(65_536):
                plain += part
        return bytes(plain)

    def send(self, data: bytes) -> None:
        self.object.write(data)

    def end(self) -> None:
        """Say goodbye; the client's own is not waited for."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.object.unwrap()
