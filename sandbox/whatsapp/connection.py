"""One client's connection: frames, handshake, login, and where each stanza goes."""

from __future__ import annotations

import asyncio
import functools
import hmac
import random
import time
from collections.abc import Callable
from typing import Any

from . import iq, messages
from .account import Account, Device
from .client import Client, Line, Registration
from .faults import LoginFailure
from .hub import Hub, queue_key
from .node import SERVER, BadNode, Node, encode
from .node_reader import decode
from .noise import Handshake, NoiseError, Transport
from .pairing import Pairing
from .protobufs import ClientPayload

HEADER = b"WA\x06\x03"
EDGE_HEADER = b"ED\0\1"  # routing hints that some clients put before the header
LARGEST_FRAME = 4 << 20


class Connection(Client):
    """Lives from the WebSocket's opening to its end. ``key`` is (phone, device) once logged in."""

    def __init__(self, hub: Hub, line: Line, peer: str) -> None:
        self.hub, self.line, self.peer = hub, line, peer
        self.buffer = bytearray()
        self.transport: Transport | None = None
        self.client_static = b""
        self.on_frame: Callable[[bytes], None] | None = None  # until the header has come
        self.key = ("", 0)
        self.account: Account | None = None
        self.device: Device | None = None
        self.pairing: Registration | None = None
        self.linked = self.ending = False
        self.next_id = 0
        hub.everyone.add(self)
        hub.journal.note("connect", peer=peer)

    @property
    def phone(self) -> str:
        return self.account.phone if self.account else ""

    def new_id(self) -> str:
        self.next_id += 1
        return f"{int(time.time())}-{self.next_id}"

    def received(self, data: bytes) -> None:
        """Takes the bytes of one WebSocket message; frames may be split or joined."""
        self.buffer += data
        try:
            on_frame = self.on_frame or self._take_header()
            while on_frame and not self.ending and len(self.buffer) >= 3:
                size = int.from_bytes(self.buffer[:3], "big")
                if size > LARGEST_FRAME:
                    raise BadNode("a frame that is too large")
                if len(self.buffer) < size + 3:
                    return
                frame = bytes(self.buffer[3 : size + 3])
                del self.buffer[: size + 3]
                on_frame(frame)
                on_frame = self.on_frame
        except (NoiseError, BadNode, ValueError) as error:
            self.drop(f"protocol error: {error}")

    def _take_header(self) -> Callable[[bytes], None] | None:
        skip = 0
        if self.buffer.startswith(EDGE_HEADER):
            if len(self.buffer) < 7:
                return None
            skip = 7 + int.from_bytes(self.buffer[4:7], "big")
        if len(self.buffer) < skip + len(HEADER):
            return None
        if self.buffer[skip : skip + 2] != HEADER[:2]:
            raise NoiseError("no WhatsApp header")
        header = bytes(self.buffer[skip : skip + 4])
        del self.buffer[: skip + 4]
        handshake = Handshake(self.hub.noise_identity, self.hub.chain, header)
        self.on_frame = functools.partial(self._hello, handshake)
        return self.on_frame

    def _hello(self, handshake: Handshake, frame: bytes) -> None:
        self._write(handshake.hello(frame))
        self.on_frame = functools.partial(self._finish, handshake)

    def _finish(self, handshake: Handshake, frame: bytes) -> None:
        self.client_static, payload, self.transport = handshake.finish(frame)
        self.on_frame = functools.partial(self._stanza, self.transport)
        client = ClientPayload()
        try:
            client.ParseFromString(payload)
        except Exception as error:  # protobuf's own error class differs between its implementations
            raise NoiseError("a client payload that cannot be read") from error
        self.hub.journal.note("handshake", peer=self.peer)
        loop = asyncio.get_running_loop()
        loop.call_later(self.hub.options.quiet_after_handshake, self._greet, client)

    def _greet(self, client: Any) -> None:
        if self.ending:
            return
        if not client.username:
            failure = self.hub.faults.take_failure("")
            if failure:
                self.fail(failure)
                return
            pairing = self.pairing = Pairing(self.hub, self, client.devicePairingData)
            pairing.start()
        else:
            self._log_in(str(client.username), client.device)

    def _log_in(self, phone: str, number: int) -> None:
        failure = self.hub.faults.take_failure(phone)
        account = self.hub.accounts.get(phone)
        device = account.devices.get(number) if account else None
        if failure is None and (account is None or device is None):
            self.hub.journal.note("login_refused", phone=phone, device=number, why="unknown device")
            failure = LoginFailure(401)
        elif failure is None and device and not hmac.compare_digest(device.noise_key, self.client_static):
            self.hub.journal.note("login_refused", phone=phone, device=number, why="wrong noise key")
            failure = LoginFailure(401)
        self.account, self.device = account, device
        if failure is not None or account is None or device is None:
            self.fail(failure or LoginFailure(401))
            return
        self.key = (phone, number)
        older = self.hub.link(self)
        self.linked = True
        self.hub.journal.note("login", phone=phone, device=number, peer=self.peer)
        if older:
            self.hub.journal.note("kicked", phone=phone, device=number, peer=older.peer)
            older.end(Node("stream:error", {}, [Node("conflict", {"type": "replaced"})]), "replaced")
        self._welcome(account, device)

    def _welcome(self, account: Account, device: Device) -> None:
        device.last_seen = time.time()
        self.hub.store.save_device(account, device)
        self.send(Node("success", {"t": str(int(time.time())), "lid": account.lid_jid(device.number),
                                   "display_name": account.name, "creation": "1600000000",
                                   "location": "frc", "props": "27"}))  # fmt: skip
        waiting = list(device.queue.values())
        count = str(len(waiting))
        preview = {"count": count, "message": count, "notification": "0", "receipt": "0", "appdata": "0"}
        self.send(Node("ib", {"from": SERVER}, [Node("offline_preview", preview)]))
        for stanza in waiting:
            self.send(decode(stanza))
        self.send(Node("ib", {"from": SERVER}, [Node("offline", {"count": count})]))

    def _stanza(self, transport: Transport, frame: bytes) -> None:
        node = decode(transport.decrypt(frame))
        if self.hub.faults.silent(self.phone):
            return
        if node.tag == "iq":
            iq.handle(self.hub, self, node)
        elif node.tag == "xmlstreamend":
            self.drop("closed by the client")
        elif self.account is None or self.device is None:
            self.hub.journal.note("ignored", tag=node.tag)
        elif node.tag == "message":
            messages.from_companion(self.hub, self.account, self.device, node)
        elif node.tag == "receipt":
            messages.receipt_from_companion(self.hub, self.account, self.device, node)
        elif node.tag == "ack":
            key = queue_key(node.attrs.get("class", ""), node.attrs)
            self.hub.acknowledge(self.account, self.device, key)

    def send(self, node: Node) -> None:
        """Encrypt and send, later when the account is to be slow."""
        delay = self.hub.faults.delay(self.phone)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._send_now, node)
        else:
            self._send_now(node)

    def _send_now(self, node: Node) -> None:
        if self.transport and not self.line.closed and not self.hub.faults.silent(self.phone):
            self._write(self.transport.encrypt(encode(node)))

    def _write(self, frame: bytes) -> None:
        self.line.send(len(frame).to_bytes(3, "big") + frame)

    def fail(self, failure: LoginFailure) -> None:
        """Refuse a login; 402 carries the ban's code and the seconds until its end."""
        attrs = {"reason": str(failure.reason), "location": "frc"}
        if failure.reason == 402:
            attrs |= {"code": str(failure.code), "expire": str(failure.expire)}
        self.hub.journal.note("failure", phone=self.phone, reason=failure.reason)
        self.end(Node("failure", attrs), f"failure {failure.reason}")

    def end(self, last: Node, reason: str) -> None:
        """Send a last stanza and close a little later: closing at once makes clients lose it."""
        if self.ending:
            return
        self.send(last)
        self._stop(reason)
        delay = random.uniform(*self.hub.options.closing_delay) + self.hub.faults.delay(self.phone)
        asyncio.get_running_loop().call_later(delay, self.line.close)

    def drop(self, reason: str) -> None:
        """Cut the line at once, without a word."""
        self._stop(reason)
        self.line.abort()

    def lost(self) -> None:
        """The line is gone."""
        self._stop("connection lost")
        self.hub.everyone.discard(self)

    def _stop(self, reason: str) -> None:
        if self.ending:
            return
        self.ending = True
        if self.linked:
            self.hub.unlink(self)
            self.linked = False
        if self.pairing:
            self.pairing.abandon()
        number = self.device.number if self.device else None
        self.hub.journal.note("disconnect", phone=self.phone, device=number, reason=reason)
