"""Curve25519 as WhatsApp uses it: X25519 agreements and XEdDSA signatures.

XEdDSA (https://signal.org/docs/specifications/xeddsa/) signs with an X25519 key. Verification is
ordinary Ed25519 after a change of coordinates and is left to ``cryptography``; signing needs a scalar
that no Ed25519 API accepts, so the few point operations it takes are written here.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache, lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, PRIME) % PRIME
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE_Y = 4 * pow(5, -1, PRIME) % PRIME
HASH_1_PREFIX = (2**256 - 2).to_bytes(32, "little")

Point = tuple[int, int, int, int]  # extended coordinates X, Y, Z, T


class BadSignature(Exception):
    """A signature does not belong to the key and the message."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An X25519 pair, 32 bytes each."""

    private: bytes
    public: bytes


def new_key_pair() -> KeyPair:
    key = X25519PrivateKey.generate()
    return KeyPair(key.private_bytes_raw(), key.public_key().public_bytes_raw())


def agree(private: bytes, public: bytes) -> bytes:
    """The 32 byte X25519 secret; raises ValueError for a degenerate public key."""
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def _add(p: Point, q: Point) -> Point:
    a = (p[1] - p[0]) * (q[1] - q[0]) % PRIME
    b = (p[1] + p[0]) * (q[1] + q[0]) % PRIME
    c = 2 * p[3] * q[3] * D % PRIME
    d = 2 * p[2] * q[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


@cache
def _base_table() -> list[list[Point]]:
    """Multiples 0 to 15 of 16**i times the base point: a multiplication is then 64 additions."""
    table = []
    base: Point = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % PRIME)
    for _ in range(64):
        row: list[Point] = [(0, 1, 1, 0)]
        for _ in range(15):
            row.append(_add(row[-1], base))
        table.append(row)
        base = _add(row[-1], base)
    return table


def _times_base(scalar: int) -> bytes:
    """The compressed Ed25519 encoding of ``scalar`` times the base point."""
    point: Point = (0, 1, 1, 0)
    for row in _base_table():
        point = _add(point, row[scalar & 15])
        scalar >>= 4
    inverse = pow(point[2], -1, PRIME)
    x, y = point[0] * inverse % PRIME, point[1] * inverse % PRIME
    return (y | (x & 1) << 255).to_bytes(32, "little")


@lru_cache(maxsize=4096)
def _signing_key(private: bytes) -> tuple[int, bytes]:
    """The scalar whose public point has sign bit 0, and that point."""
    clamped = bytearray(private)
    clamped[0] &= 248
    clamped[31] = clamped[31] & 127 | 64
    scalar = int.from_bytes(clamped, "little")
    public = bytearray(_times_base(scalar % ORDER))
    if public[31] & 128:
        scalar = -scalar
        public[31] &= 127
    return scalar % ORDER, bytes(public)


def _hash_to_scalar(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER


def sign(private: bytes, message: bytes) -> bytes:
    """A 64 byte XEdDSA signature by an X25519 private key; its sign bit is always 0."""
    scalar, public = _signing_key(private)
    nonce = _hash_to_scalar(HASH_1_PREFIX, scalar.to_bytes(32, "little"), message, os.urandom(64))
    commitment = _times_base(nonce)
    challenge = _hash_to_scalar(commitment, public, message)
    return commitment + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Check an XEdDSA signature by an X25519 public key (32 bytes); raises BadSignature.

    Clients keep the sign of the Edwards point in the signature's top bit, as libsignal does.
    """
    if len(public) != 32 or len(signature) != 64:
        raise BadSignature("wrong length of a key or a signature")
    u = int.from_bytes(public, "little") & (2**255 - 1)
    if u == PRIME - 1:
        raise BadSignature("the key has no Edwards form")
    y = (u - 1) * pow(u + 1, -1, PRIME) % PRIME
    edwards = bytearray(y.to_bytes(32, "little"))
    edwards[31] |= signature[63] & 128
    plain = signature[:63] + bytes([signature[63] & 127])
    try:
        Ed25519PublicKey.from_public_bytes(bytes(edwards)).verify(plain, message)
    except (InvalidSignature, ValueError) as error:
        raise BadSignature("the signature does not fit") from error
