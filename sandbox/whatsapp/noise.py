"""The server's side of WhatsApp's transport encryption: Noise_XX_25519_AESGCM_SHA256.

The certificate chain in the server's hello is XEdDSA-signed; clients check it against a root key
that is built into them (whatsmeow) or not at all (Baileys).
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import curve
from .protobufs import CertChain, HandshakeMessage

NAME = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"
DAY = 86_400
SERIAL = 1


class NoiseError(Exception):
    """The client's part of a handshake or a frame is wrong."""


@dataclass(frozen=True, slots=True)
class NoiseIdentity:
    """The keys a server answers with: root (pinned by clients), intermediate, and its own static key."""

    root: curve.KeyPair
    intermediate: curve.KeyPair
    static: curve.KeyPair


def new_identity() -> NoiseIdentity:
    return NoiseIdentity(curve.new_key_pair(), curve.new_key_pair(), curve.new_key_pair())


def certificate(identity: NoiseIdentity) -> bytes:
    """The serialised chain: root signs intermediate, intermediate signs the static key; a year each."""
    chain = CertChain()
    steps = (
        (chain.intermediate, identity.intermediate.public, SERIAL, 0, identity.root),
        (chain.leaf, identity.static.public, SERIAL + 1, SERIAL, identity.intermediate),
    )
    now = int(time.time())
    for part, key, serial, issuer, signer in steps:
        details = CertChain.NoiseCertificate.Details(
            serial=serial, issuerSerial=issuer, key=key, notBefore=now - DAY, notAfter=now + 365 * DAY
        )
        part.details = details.SerializeToString()
        part.signature = curve.sign(signer.private, part.details)
    return bytes(chain.SerializeToString())


class Handshake:
    """One client's handshake: ``hello`` answers its first frame, ``finish`` opens its second."""

    def __init__(self, identity: NoiseIdentity, chain: bytes, header: bytes) -> None:
        self.identity, self.chain = identity, chain
        self.hash = self.salt = NAME
        self.cipher = AESGCM(NAME)
        self.counter = 0
        self.ephemeral = curve.new_key_pair()
        self._mix_hash(header)

    def hello(self, frame: bytes) -> bytes:
        """Takes a serialised ClientHello, gives the serialised ServerHello; raises NoiseError."""
        theirs = _parse(frame).clientHello.ephemeral
        if len(theirs) != 32:
            raise NoiseError("a client hello without its key")
        self._mix_hash(theirs)
        answer = HandshakeMessage()
        answer.serverHello.ephemeral = self.ephemeral.public
        self._mix_hash(self.ephemeral.public)
        self._mix_key(curve.agree(self.ephemeral.private, theirs))
        answer.serverHello.static = self._encrypt(self.identity.static.public)
        self._mix_key(curve.agree(self.identity.static.private, theirs))
        answer.serverHello.payload = self._encrypt(self.chain)
        return bytes(answer.SerializeToString())

    def finish(self, frame: bytes) -> tuple[bytes, bytes, Transport]:
        """The client's static key, its payload and the ciphers for what follows; raises NoiseError."""
        finish = _parse(frame).clientFinish
        static = self._decrypt(finish.static)
        if len(static) != 32:
            raise NoiseError("a client finish without its key")
        self._mix_key(curve.agree(self.ephemeral.private, static))
        payload = self._decrypt(finish.payload)
        incoming, outgoing = _expand(self.salt, b"")
        return static, payload, Transport(AESGCM(incoming), AESGCM(outgoing))

    def _mix_hash(self, data: bytes) -> None:
        self.hash = hashlib.sha256(self.hash + data).digest()

    def _mix_key(self, secret: bytes) -> None:
        self.salt, key = _expand(self.salt, secret)
        self.cipher, self.counter = AESGCM(key), 0

    def _encrypt(self, plain: bytes) -> bytes:
        sealed = self.cipher.encrypt(_nonce(self.counter), plain, self.hash)
        self.counter += 1
        self._mix_hash(sealed)
        return sealed

    def _decrypt(self, sealed: bytes) -> bytes:
        try:
            plain = self.cipher.decrypt(_nonce(self.counter), sealed, self.hash)
        except InvalidTag as error:
            raise NoiseError("a handshake message that does not decrypt") from error
        self.counter += 1
        self._mix_hash(sealed)
        return plain


class Transport:
    """The ciphers after the handshake: no associated data, one counter for each direction."""

    def __init__(self, incoming: AESGCM, outgoing: AESGCM) -> None:
        self.incoming, self.outgoing = incoming, outgoing
        self.read_count = self.write_count = 0

    def encrypt(self, plain: bytes) -> bytes:
        self.write_count += 1
        return self.outgoing.encrypt(_nonce(self.write_count - 1), plain, None)

    def decrypt(self, sealed: bytes) -> bytes:
        self.read_count += 1
        try:
            return self.incoming.decrypt(_nonce(self.read_count - 1), sealed, None)
        except InvalidTag as error:
            raise NoiseError("a frame that does not decrypt") from error


def _parse(frame: bytes) -> Any:
    message = HandshakeMessage()
    try:
        message.ParseFromString(frame)
    except Exception as error:  # protobuf's own error class differs between its implementations
        raise NoiseError("a handshake message that cannot be read") from error
    return message


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(12, "big")


def _expand(salt: bytes, secret: bytes) -> tuple[bytes, bytes]:
    key = hmac.digest(salt, secret, "sha256")
    first = hmac.digest(key, b"\1", "sha256")
    return first, hmac.digest(key, first + b"\2", "sha256")
