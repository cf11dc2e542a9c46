"""Accounts (phones), their companion devices and messages: plain state, no behaviour on the wire."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from . import curve
from .curve import KeyPair
from .node import LID_SERVER, USER_SERVER, Jid
from .ratchet import Session

SIGNED_PREKEY_ID = 1


@dataclass(slots=True)
class Device:
    """A companion: what the server knows of a linked device (public keys only)."""

    number: int
    noise_key: bytes
    identity: bytes
    registration_id: int
    signed_prekey_id: int
    signed_prekey: bytes
    signed_prekey_signature: bytes
    key_index: int
    platform: str
    linked_at: float
    last_seen: float = 0.0
    prekeys: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    queue: OrderedDict[str, bytes] = field(default_factory=OrderedDict)  # stanzas not acknowledged yet


@dataclass(slots=True)
class InboxMessage:
    """A message as the phone shows it. ``status`` is for outgoing ones: sent, delivered or read."""

    id: str
    chat: str
    sender: str
    text: str
    kind: str
    at: float
    outgoing: bool = False
    status: str = ""
    read: bool = False
    from_device: int = 0
    attachment: dict[str, Any] | None = None  # see `attachments`


@dataclass(slots=True)
class Waiting:
    """An encrypted message for a phone that is offline."""

    id: str
    sender: str
    sender_device: int
    reply_to: str
    kind: str
    sealed: bytes
    at: float


@dataclass(slots=True)
class Account:
    """A WhatsApp account: the phone with its private keys, inbox and linked devices."""

    phone: str
    lid: str
    name: str
    identity: KeyPair
    registration_id: int
    signed_prekey: KeyPair
    signed_prekey_signature: bytes
    registered: bool = True
    online: bool = True
    auto_read: bool = False
    next_device: int = 1
    next_prekey: int = 1
    prekeys: dict[int, KeyPair] = field(default_factory=dict)
    devices: dict[int, Device] = field(default_factory=dict)
    sessions: dict[str, list[Session]] = field(default_factory=dict)
    inbox: list[InboxMessage] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    addressed_by: dict[str, str] = field(default_factory=dict)  # device address: how it addresses this phone

    def jid(self, device: int = 0) -> str:
        return str(Jid(self.phone, device, USER_SERVER))

    def lid_jid(self, device: int = 0) -> str:
        return str(Jid(self.lid, device, LID_SERVER))

    def address(self, like: Jid, device: int = 0) -> str:
        """This account's address in the same space (phone number or LID) as another address."""
        return self.lid_jid(device) if like.server == LID_SERVER else self.jid(device)


def new_account(phone: str, name: str) -> Account:
    identity, signed = curve.new_key_pair(), curve.new_key_pair()
    return Account(
        phone=phone,
        lid=str(secrets.randbelow(9 * 10**14) + 10**14),
        name=name,
        identity=identity,
        registration_id=secrets.randbelow(16380) + 1,
        signed_prekey=signed,
        signed_prekey_signature=curve.sign(identity.private, b"\5" + signed.public),
    )


def new_message_id() -> str:
    return "3A" + secrets.token_hex(9).upper()


def now() -> float:
    """Wall clock seconds, as shown to people and sent in stanzas."""
    return time.time()
