"""Bytes in and out: HTTP CONNECT, TLS and WebSocket on one TCP connection, without a task of its own."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from .connection import Connection
from .hub import Hub

PATH = "/ws/chat"
LARGEST_HEAD = 16_384
LARGEST_MESSAGE = 8 << 20
LARGEST_BACKLOG = 16 << 20
TLS_TIMEOUT = 20.0
quiet = logging.getLogger("sandbox.whatsapp.websocket")
quiet.setLevel(logging.WARNING)


class Line(asyncio.Protocol):
    """With a TLS context: expects CONNECT, then TLS. Without: a plain WebSocket from the first byte."""

    def __init__(self, hub: Hub, tls: ssl.SSLContext | None) -> None:
        self.hub, self.tls = hub, tls
        self.transport: asyncio.Transport | None = None
        self.head = bytearray()
        self.socket: ServerProtocol | None = None
        self.connection: Connection | None = None
        self.peer = ""
        self.upgrade: asyncio.Task[None] | None = None
        self.fragments = bytearray()

    @property
    def closed(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        self.transport = transport
        if self.hub.faults.refusing():
            self.hub.journal.note("refused")
            transport.abort()
            return
        address = transport.get_extra_info("peername")
        self.peer = f"{address[0]}:{address[1]}" if address else ""
        if self.tls is None:
            self._open_websocket()

    def data_received(self, data: bytes) -> None:
        if self.socket is not None:
            self.socket.receive_data(data)
            self._after_receiving(self.socket)
            return
        self.head += data
        if self.upgrade is None and self.transport and self.tls:
            self._read_connect(self.transport, self.tls)
        # else TLS has brought data before the upgrade's task has noticed: it is read there

    def eof_received(self) -> bool:
        if self.socket is not None:
            self.socket.receive_eof()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if self.connection:
            self.connection.lost()
            self.connection = None

    def _read_connect(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        if b"\r\n\r\n" not in self.head:
            if len(self.head) > LARGEST_HEAD:
                transport.abort()
            return
        words = bytes(self.head).split(b"\r\n", 1)[0].split(b" ")
        self.head.clear()
        if len(words) != 3 or words[0] != b"CONNECT" or not words[1].endswith(b":443"):
            transport.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            transport.close()
            return
        transport.pause_reading()  # the TLS hello must not reach this protocol as plain bytes
        transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.upgrade = asyncio.ensure_future(self._start_tls(transport, tls))

    async def _start_tls(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            self.transport = await loop.start_tls(
                transport, self, tls, server_side=True, ssl_handshake_timeout=TLS_TIMEOUT
            )
        except (ssl.SSLError, OSError) as error:
            self.hub.journal.note("tls_failed", why=type(error).__name__)
            transport.abort()
            return
        self._open_websocket()
        early = bytes(self.head)
        self.head.clear()
        if early:
            self.data_received(early)

    def _open_websocket(self) -> None:
        self.socket = ServerProtocol(max_size=LARGEST_MESSAGE, logger=quiet)

    def _after_receiving(self, socket: ServerProtocol) -> None:
        for event in socket.events_received():
            if isinstance(event, Request):
                self._answer_request(socket, event)
            elif isinstance(event, Frame) and event.opcode in (Opcode.BINARY, Opcode.CONT):
                self.fragments += event.data
                if event.fin and self.connection:
                    data, self.fragments = bytes(self.fragments), bytearray()
                    self.connection.received(data)
        self._flush()

    def _answer_request(self, socket: ServerProtocol, request: Request) -> None:
        if request.path.split("?")[0] == PATH:
            response = socket.accept(request)
        else:
            response = socket.reject(404, "There is only /ws/chat here.\n")
        socket.send_response(response)
        if response.status_code == 101:
            self.connection = Connection(self.hub, self, self.peer)

    def send(self, data: bytes) -> None:
        """One binary WebSocket message; a client that reads nothing is cut off."""
        if self.socket is None or self.closed or self.socket.state is not State.OPEN:
            return
        self.socket.send_binary(data)
        self._flush()

    def _flush(self) -> None:
        if self.socket is None or self.transport is None:
            return
        for data in self.socket.data_to_send():
            if data:
                self.transport.write(data)
            else:  # the WebSocket asks for the end of the stream
                self.transport.close()
        if self.transport.get_write_buffer_size() > LARGEST_BACKLOG:
            self.transport.abort()

    def close(self) -> None:
        """Close with a WebSocket close frame."""
        if self.closed:
            return
        if self.socket is not None and self.socket.state is State.OPEN:
            self.socket.send_close(1000)
            self._flush()
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
