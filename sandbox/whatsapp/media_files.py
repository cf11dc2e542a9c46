"""Media as WhatsApp keeps it: files that only their recipients can open, named by their hash.

A file is AES-256-CBC under a key from HKDF of the message's media key, with the first ten bytes of an HMAC
behind it; seen in the open clients whatsmeow and Baileys.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_NAMES = {
    "image": b"WhatsApp Image Keys",
    "sticker": b"WhatsApp Image Keys",
    "video": b"WhatsApp Video Keys",
    "audio": b"WhatsApp Audio Keys",
    "voice": b"WhatsApp Audio Keys",
    "document": b"WhatsApp Document Keys",
}
BLOCK = 128  # bits
MAC_SIZE = 10


class MediaError(ValueError):
    """The file is not what its message says."""


@dataclass(frozen=True, slots=True)
class SealedFile:
    """An encrypted file and what its message has to say of it."""

    data: bytes
    key: bytes
    sha256: bytes
    sealed_sha256: bytes


def seal(kind: str, plain: bytes) -> SealedFile:
    """Encrypt a file of this kind under a new key."""
    key = secrets.token_bytes(32)
    iv, cipher_key, mac_key = _keys(kind, key)
    padder = padding.PKCS7(BLOCK).padder()
    encryptor = Cipher(algorithms.AES(cipher_key), modes.CBC(iv)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    data = sealed + _mac(mac_key, iv, sealed)
    return SealedFile(data, key, hashlib.sha256(plain).digest(), hashlib.sha256(data).digest())


def open_sealed(kind: str, data: bytes, key: bytes, sha256: bytes) -> bytes:
    """The plain file; raises MediaError when it was changed or is another one."""
    iv, cipher_key, mac_key = _keys(kind, key)
    sealed, mac = data[:-MAC_SIZE], data[-MAC_SIZE:]
    if not hmac.compare_digest(_mac(mac_key, iv, sealed), mac):
        raise MediaError("the file was changed")
    decryptor = Cipher(algorithms.AES(cipher_key), modes.CBC(iv)).decryptor()
    unpadder = padding.PKCS7(BLOCK).unpadder()
    plain = unpadder.update(decryptor.update(sealed) + decryptor.finalize()) + unpadder.finalize()
    if hashlib.sha256(plain).digest() != sha256:
        raise MediaError("the file is another one")
    return plain


def _keys(kind: str, key: bytes) -> tuple[bytes, bytes, bytes]:
    expanded = HKDF(hashes.SHA256(), 112, None, KEY_NAMES[kind]).derive(key)
    return expanded[:16], expanded[16:48], expanded[48:80]


def _mac(key: bytes, iv: bytes, sealed: bytes) -> bytes:
    return hmac.digest(key, iv + sealed, "sha256")[:MAC_SIZE]


class MediaFiles:
    """The server's folder of encrypted files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, data: bytes) -> str:
        """Keep a file; returns its direct path."""
        name = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        (self.folder / name).write_bytes(data)
        return f"/v/{name}?ccb=1"

    def get(self, name: str) -> bytes | None:
        """The file behind the last part of a direct path."""
        if not name.replace("-", "").replace("_", "").isalnum():
            return None
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def at(self, direct_path: str) -> bytes | None:
        """The file at a direct path."""
        return self.get(direct_path.partition("?")[0].removeprefix("/v/"))
