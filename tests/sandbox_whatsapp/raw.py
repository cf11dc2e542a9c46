"""The client's half of the protocol in a few lines: for wrong bytes and for many sessions at once."""

import hashlib
import hmac
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from websockets.asyncio.client import ClientConnection, connect

from sandbox.whatsapp import SandboxWhatsApp, curve
from sandbox.whatsapp.account import Account, Device
from sandbox.whatsapp.curve import KeyPair
from sandbox.whatsapp.node import Node, encode
from sandbox.whatsapp.node_reader import decode
from sandbox.whatsapp.noise import NAME
from sandbox.whatsapp.protobufs import CertChain, ClientPayload, HandshakeMessage

HEADER = b"WA\x06\x03"


def add_device(sandbox: SandboxWhatsApp, phone: str, noise_key: bytes) -> Device:
    """A companion that the server takes for linked, without a pairing."""
    account: Account = sandbox.hub.account(phone)
    number = sandbox.hub.next_device(account)
    key = curve.new_key_pair().public
    device = Device(number, noise_key, key, 1, 1, key, b"\0" * 64, number, "test", 0.0)
    sandbox.hub.add_device(account, device)
    return device


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(3, "big") + data


class RawClient:
    """Noise initiator, then nodes. ``certificate`` is the server's chain."""

    def __init__(self, noise_key: KeyPair) -> None:
        self.noise_key = noise_key
        self.buffer = b""
        self.certificate: Any = None

    async def open(
        self, url: str, username: int = 0, device: int = 0, intro: bytes = HEADER, **options: Any
    ) -> "RawClient":
        """Connect and shake hands; ``options`` go to the WebSocket library (``proxy``, ``ssl``)."""
        self.socket: ClientConnection = await connect(url, max_size=None, ping_interval=None, **options)
        self.hash = self.salt = NAME
        self._mix_hash(HEADER)
        ephemeral = curve.new_key_pair()
        self._mix_hash(ephemeral.public)
        hello = HandshakeMessage()
        hello.clientHello.ephemeral = ephemeral.public
        await self.socket.send(intro + framed(hello.SerializeToString()))
        server = HandshakeMessage.FromString(await self.frame()).serverHello
        self._mix_hash(server.ephemeral)
        self._mix_key(curve.agree(ephemeral.private, server.ephemeral))
        static = self._open(server.static)
        self._mix_key(curve.agree(ephemeral.private, static))
        self.certificate = CertChain.FromString(self._open(server.payload))
        finish = HandshakeMessage()
        finish.clientFinish.static = self._seal(self.noise_key.public)
        self._mix_key(curve.agree(self.noise_key.private, server.ephemeral))
        payload = ClientPayload(username=username, device=device) if username else ClientPayload()
        finish.clientFinish.payload = self._seal(payload.SerializeToString())
        await self.socket.send(framed(finish.SerializeToString()))
        writing, reading = self._expand(b"")
        self.writing, self.reading, self.written, self.read = AESGCM(writing), AESGCM(reading), 0, 0
        return self

    async def frame(self) -> bytes:
        while len(self.buffer) < 3 or len(self.buffer) < 3 + int.from_bytes(self.buffer[:3], "big"):
            data = await self.socket.recv()
            self.buffer += data if isinstance(data, bytes) else data.encode()
        size = 3 + int.from_bytes(self.buffer[:3], "big")
        found, self.buffer = self.buffer[3:size], self.buffer[size:]
        return found

    def sealed(self, node: Node) -> bytes:
        self.written += 1
        return framed(self.writing.encrypt((self.written - 1).to_bytes(12, "big"), encode(node), None))

    async def send(self, node: Node) -> None:
        await self.socket.send(self.sealed(node))

    async def receive(self) -> Node:
        frame = await self.frame()
        self.read += 1
        return decode(self.reading.decrypt((self.read - 1).to_bytes(12, "big"), frame, None))

    async def until(self, tag: str) -> Node:
        while (node := await self.receive()).tag != tag:
            continue
        return node

    def _mix_hash(self, data: bytes) -> None:
        self.hash = hashlib.sha256(self.hash + data).digest()

    def _expand(self, secret: bytes) -> tuple[bytes, bytes]:
        key = hmac.digest(self.salt, secret, "sha256")
        first = hmac.digest(key, b"\1", "sha256")
        return first, hmac.digest(key, first + b"\2", "sha256")

    def _mix_key(self, secret: bytes) -> None:
        self.salt, key = self._expand(secret)
        self.cipher, self.count = AESGCM(key), 0

    def _open(self, sealed: bytes) -> bytes:
        plain = self.cipher.decrypt(self.count.to_bytes(12, "big"), sealed, self.hash)
        self.count += 1
        self._mix_hash(sealed)
        return plain

    def _seal(self, plain: bytes) -> bytes:
        sealed = self.cipher.encrypt(self.count.to_bytes(12, "big"), plain, self.hash)
        self.count += 1
        self._mix_hash(sealed)
        return sealed
