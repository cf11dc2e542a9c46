"""Linking a new companion: the QR refs it shows, what a scan does, and the signed identities."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import time
from typing import Any

from . import curve
from .account import Account, Device
from .client import Client, CodeRegistration, Registration
from .curve import BadSignature
from .hub import Hub
from .node import SERVER, Node
from .protobufs import ADVDeviceIdentity, ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC, DeviceProps
from .refusal import Refused

REFS = 6
ACCOUNT_SIGNATURE = b"\6\0"
DEVICE_SIGNATURE = b"\6\1"


def find_scanned(hub: Hub, qr: str) -> tuple[Registration, bytes]:
    """The registration that shows this QR text, and the text's ADV secret; raises Refused."""
    parts = qr.strip().rsplit("#", 1)[-1].split(",")
    if len(parts) < 4:
        raise Refused(400, "This is not a WhatsApp linking code.")
    try:
        noise_key, identity, adv_secret = (base64.b64decode(part, validate=True) for part in parts[1:4])
    except binascii.Error as error:
        raise Refused(400, "This is not a WhatsApp linking code.") from error
    for connection in hub.everyone:
        pairing = connection.pairing
        if pairing and pairing.shows(parts[0]):
            if noise_key != connection.client_static or identity != bytes(pairing.data.eIdent):
                raise Refused(409, "The code's keys are not those of the device that asked for it.")
            return pairing, adv_secret
    raise Refused(410, "This code is out of date. Scan the one that is shown now.")


class Pairing(Registration):
    """The registration side of a connection that has no account yet."""

    def __init__(self, hub: Hub, connection: Client, data: Any) -> None:
        self.hub, self.connection = hub, connection
        self.data = data
        self.refs: list[str] = []
        self.started = 0.0
        self.code: CodeRegistration | None = None
        self.identity_sent: tuple[Account, int, bytes] | None = None
        self.done: asyncio.Future[Device] | None = None

    def start(self) -> None:
        """Give the client its six refs; the first lives longer than the others."""
        self.started = time.monotonic()
        self.refs = ["2@" + base64.b64encode(secrets.token_bytes(96)).decode() for _ in range(REFS)]
        refs = [Node("ref", {}, ref.encode()) for ref in self.refs]
        attrs = {"from": SERVER, "type": "set", "id": self.connection.new_id(), "xmlns": "md"}
        self.connection.send(Node("iq", attrs, [Node("pair-device", {}, refs)]))
        self.hub.journal.note("qr", peer=self.connection.peer)

    def shows(self, ref: str) -> bool:
        """Whether a ref belongs to this registration and its time is not over."""
        if ref not in self.refs or self.connection.ending:
            return False
        options = self.hub.options
        end = options.qr_first + options.qr_next * self.refs.index(ref) + options.qr_grace
        return time.monotonic() - self.started <= end

    async def link(self, account: Account, adv_secret: bytes) -> Device:
        """Make this companion a device of the account and wait until it has signed; raises Refused."""
        if not account.online:
            raise Refused(409, "The phone is offline. Bring it online first.")
        if account.phone in self.hub.unregistered:
            raise Refused(409, "This number is not on WhatsApp.")
        if len(account.devices) >= self.hub.options.most_devices:
            raise Refused(409, "This phone has as many linked devices as it may have. Remove one first.")
        if self.done is not None:
            raise Refused(409, "This device is being linked already.")
        self.done = asyncio.get_running_loop().create_future()
        self._send_identity(account, adv_secret)
        try:
            return await asyncio.wait_for(asyncio.shield(self.done), self.hub.options.pairing_timeout)
        except TimeoutError as error:
            raise Refused(504, "The device did not answer. Try again with a new code.") from error

    def _send_identity(self, account: Account, adv_secret: bytes) -> None:
        number = self.hub.next_device(account)
        details = ADVDeviceIdentity(
            rawID=secrets.randbelow(2**31), timestamp=int(time.time()), keyIndex=number
        ).SerializeToString()
        message = ACCOUNT_SIGNATURE + details + self.data.eIdent
        signed = ADVSignedDeviceIdentity(
            details=details,
            accountSignatureKey=account.identity.public,
            accountSignature=curve.sign(account.identity.private, message),
        ).SerializeToString()
        sealed = ADVSignedDeviceIdentityHMAC(
            details=signed, HMAC=hmac.digest(adv_secret, signed, hashlib.sha256)
        )
        self.identity_sent = (account, number, details)
        attrs = {"from": SERVER, "type": "set", "id": self.connection.new_id(), "t": str(int(time.time()))}
        device = {"jid": account.jid(number), "lid": account.lid_jid(number)}
        success = Node("pair-success", {}, [
            Node("device-identity", {}, sealed.SerializeToString()),
            Node("biz", {"name": account.name}),
            Node("device", device),
            Node("platform", {"name": "smba"}),
        ])  # fmt: skip
        self.connection.send(Node("iq", attrs, [success]))

    def answered(self, iq: Node) -> None:
        """The client's result or error for one of our requests."""
        if self.done is None or self.done.done() or self.identity_sent is None:
            return
        if iq.attrs.get("type") == "error":
            self.done.set_exception(Refused(502, "The device refused to be linked."))
            return
        sign = iq.child("pair-device-sign")
        if sign is None:
            return
        try:
            self.done.set_result(self._accept(*self.identity_sent, sign.data_of("device-identity")))
        except (BadSignature, ValueError):
            self.done.set_exception(Refused(502, "The device's signature is wrong."))
            self.connection.drop("wrong device signature")

    def _accept(self, account: Account, number: int, details: bytes, answer: bytes) -> Device:
        signed = ADVSignedDeviceIdentity()
        signed.ParseFromString(answer)
        identity = bytes(self.data.eIdent)
        message = DEVICE_SIGNATURE + details + identity + account.identity.public
        curve.verify(identity, message, signed.deviceSignature)
        device = self._device(number)
        self.hub.add_device(account, device)
        self.hub.journal.note("pair", phone=account.phone, device=device.number, peer=self.connection.peer,
                              by="code" if self.code else "qr")  # fmt: skip
        self.connection.end(Node("stream:error", {"code": "515"}), "restart after pairing")
        return device

    def _device(self, number: int) -> Device:
        props = DeviceProps()
        props.ParseFromString(self.data.deviceProps)
        return Device(
            number=number,
            noise_key=self.connection.client_static,
            identity=bytes(self.data.eIdent),
            registration_id=int.from_bytes(self.data.eRegid, "big"),
            signed_prekey_id=int.from_bytes(self.data.eSkeyID, "big"),
            signed_prekey=bytes(self.data.eSkeyVal),
            signed_prekey_signature=bytes(self.data.eSkeySig),
            key_index=number,
            platform=props.os or "?",
            linked_at=time.time(),
        )

    def abandon(self) -> None:
        """The connection ends: whoever waits for the device gets an error."""
        error = Refused(410, "The device went away before it was linked.")
        if self.done is not None and not self.done.done():
            asyncio.get_running_loop().call_soon(self._give_up, self.done, error)
        if self.code is not None:
            self.code.abandon(error)

    def _give_up(self, done: asyncio.Future[Device], error: Refused) -> None:
        if not done.done():
            done.set_exception(error)
            done.exception()  # nobody may be waiting any more
