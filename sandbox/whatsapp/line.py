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
from .media_server import HOST_NAME
from .relay import open_tunnel
from .secure import SecureStream

PATH = "/ws/chat"
MEDIA_HOSTS = (HOST_NAME,)
LARGEST_HEAD = 16_384
LARGEST_MESSAGE = 8 << 20
LARGEST_BACKLOG = 16 << 20
PATIENCE = 20.0  # seconds for everything up to the end of the handshake
CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
NO_PROXY = b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
quiet = logging.getLogger("sandbox.whatsapp.websocket")
quiet.setLevel(logging.WARNING)


class Line(asyncio.Protocol):
    """With a TLS context: expects CONNECT, then TLS. Without: a plain WebSocket from the first byte."""

    def __init__(self, hub: Hub, tls: ssl.SSLContext | None) -> None:
        self.hub, self.tls = hub, tls
        self.transport: asyncio.Transport | None = None
        self.secure: SecureStream | None = None
        self.socket: ServerProtocol | None = None
        self.connection: Connection | None = None
        self.head = bytearray()
        self.fragments = bytearray()
        self.peer = ""

    @property
    def closed(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.hub.lines.add(self)
        if self.hub.faults.refusing():
            self.hub.journal.note("refused")
            self.transport.abort()
            return
        address = transport.get_extra_info("peername")
        self.peer = f"{address[0]}:{address[1]}" if address else ""
        asyncio.get_running_loop().call_later(PATIENCE, self._end_if_idle)
        if self.tls is None:
            self.socket = ServerProtocol(max_size=LARGEST_MESSAGE, logger=quiet)

    def _end_if_idle(self) -> None:
        if self.connection is None or self.connection.transport is None:
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self.secure is not None:
            try:
                data = self.secure.receive(data)
            except ssl.SSLError as error:
                self.hub.journal.note("tls_failed", why=error.reason or type(error).__name__)
                self._flush()
                self.close()
                return
        if self.socket is None:
            self._read_connect(data)
        elif data:
            self.socket.receive_data(data)
            self._after_receiving(self.socket)
        self._flush()

    def eof_received(self) -> bool:
        if self.socket is not None:
            self.socket.receive_eof()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self.hub.lines.discard(self)
        if self.connection:
            self.connection.lost()
            self.connection = None

    def _read_connect(self, data: bytes) -> None:
        self.head += data
        if self.transport is None or self.tls is None:
            return
        head, end, rest = bytes(self.head).partition(b"\r\n\r\n")
        if not end:
            if len(head) > LARGEST_HEAD:
                self.transport.abort()
            return
        self.head.clear()
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or words[0] != b"CONNECT" or not words[1].endswith(b":443"):
            self.transport.write(NO_PROXY)
            self.transport.close()
            return
        if words[1].partition(b":")[0].decode() in MEDIA_HOSTS:
            self._tunnel_media(self.transport)
            return
        self.transport.write(CONNECTED)
        self.secure = SecureStream(self.tls)
        self.socket = ServerProtocol(max_size=LARGEST_MESSAGE, logger=quiet)
        if rest:
            self.data_received(rest)

    def _tunnel_media(self, transport: asyncio.Transport) -> None:
        """Let the media server have this connection."""
        self.transport = None
        self.hub.lines.discard(self)
        tunnel = open_tunnel(self.hub, transport, self.hub.media_port, CONNECTED)
        self.tunnel = asyncio.get_running_loop().create_task(tunnel)

    def _after_receiving(self, socket: ServerProtocol) -> None:
        for event in socket.events_received():
            if isinstance(event, Request):
                self._answer_request(socket, event)
            elif isinstance(event, Frame) and event.opcode in (Opcode.BINARY, Opcode.CONT):
                self.fragments += event.data
                if event.fin and self.connection:
                    data, self.fragments = bytes(self.fragments), bytearray()
                    self.connection.received(data)

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
        if self.transport is None:
            return
        ended = False
        for data in self.socket.data_to_send() if self.socket else ():
            if not data:  # the WebSocket asks for the end of the stream
                ended = True
            elif self.secure is not None:
                self.secure.send(data)
            else:
                self.transport.write(data)
        if self.secure is not None and (sealed := self.secure.outgoing.read()):
            self.transport.write(sealed)
        if ended:
            self.close()
        elif self.transport.get_write_buffer_size() > LARGEST_BACKLOG:
            self.transport.abort()

    def close(self) -> None:
        """Close in good order: WebSocket, TLS, TCP."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.socket is not None and self.socket.state is State.OPEN:
            self.socket.send_close(1000)
            self._flush()
        if self.secure is not None and self.secure.shaken:
            self.secure.end()
            self.transport.write(self.secure.outgoing.read())
        self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
