"""The symmetric half of Signal sessions: key derivation, AES-CBC, message authentication, padding."""

from __future__ import annotations

import hmac
import os

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from . import curve

MAC_SIZE = 8


def seed(chain_key: bytes) -> bytes:
    return hmac.digest(chain_key, b"\1", "sha256")


def hkdf(secret: bytes, salt: bytes | None, info: bytes, size: int) -> bytes:
    return HKDF(SHA256(), size, salt, info).derive(secret)


def first_keys(secrets: list[bytes]) -> tuple[bytes, bytes]:
    keys = hkdf(b"\xff" * 32 + b"".join(secrets), None, b"WhisperText", 64)
    return keys[:32], keys[32:]


def step(root: bytes, private: bytes, public: bytes) -> tuple[bytes, bytes]:
    keys = hkdf(curve.agree(private, public), root, b"WhisperRatchet", 64)
    return keys[:32], keys[32:]


def message_keys(seed: bytes) -> tuple[bytes, bytes, bytes]:
    keys = hkdf(seed, None, b"WhisperMessageKeys", 80)
    return keys[:32], keys[32:64], keys[64:]


def mac(key: bytes, sender: bytes, receiver: bytes, body: bytes) -> bytes:
    return hmac.digest(key, b"\5" + sender + b"\5" + receiver + body, "sha256")[:MAC_SIZE]


def cbc(key: bytes, iv: bytes, plain: bytes) -> bytes:
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


def uncbc(key: bytes, iv: bytes, sealed: bytes) -> bytes:
    unpadder = padding.PKCS7(128).unpadder()
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return unpadder.update(decryptor.update(sealed) + decryptor.finalize()) + unpadder.finalize()


def pad(plain: bytes) -> bytes:
    """WhatsApp's own padding under the cipher: 1 to 16 bytes, each holding their number."""
    size = os.urandom(1)[0] % 16 + 1
    return plain + bytes([size]) * size


def unpad(padded: bytes) -> bytes:
    """Takes the padding off; raises ValueError when it is wrong."""
    if not padded or padded[-1] > len(padded):
        raise ValueError("wrong padding")
    return padded[: -padded[-1]] if padded[-1] else padded
