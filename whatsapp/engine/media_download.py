"""Fetches a file of a message from WhatsApp's media hosts and opens it.

The library would read the whole answer into the memory that its sessions share, whatever its size, follow
the address that the sender wrote, and wait without limit. Here the host is WhatsApp's own, redirects are not
followed, and size and time are bounded. The format is the one of the open clients whatsmeow and Baileys:
AES-256-CBC under a key from HKDF of the message's media key, ten bytes of an HMAC behind it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import quote

import requests
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from whatsapp.engine.events import MediaReference

HOST = "mmg.whatsapp.net"
# For each kind the words that its keys are derived with, and WhatsApp's own name of it.
KINDS = {
    "image": (b"WhatsApp Image Keys", "image"),
    "sticker": (b"WhatsApp Image Keys", "image"),
    "video": (b"WhatsApp Video Keys", "video"),
    "audio": (b"WhatsApp Audio Keys", "audio"),
    "voice": (b"WhatsApp Audio Keys", "audio"),
    "document": (b"WhatsApp Document Keys", "document"),
}
PATH_PATTERN = re.compile(r"/[A-Za-z0-9_\-./]{1,300}(\?[A-Za-z0-9_\-.=&%]{0,800})?")
BLOCK, MAC_SIZE = 16, 10  # bytes
PIECE = 64 * 1024
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 10.0  # seconds


class MediaError(Exception):
    """The file was not fetched; `permanent` when trying again cannot help. The text holds no secrets."""

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Route:
    """How WhatsApp's media hosts are reached."""

    proxy_url: str | None = field(default=None, repr=False)
    ca_file: str | None = None


async def download(reference: MediaReference, route: Route, *, max_bytes: int, seconds: float) -> bytes:
    """The plain file. Raises MediaError: also when it is larger than `max_bytes`, takes longer than
    `seconds`, or is not what the message says.

    A cancelled caller does not end the thread, which ends by its own deadline.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bytes] = loop.create_future()

    def answer(result: bytes | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result or b"")

    def work() -> None:
        result, failure = None, None
        try:
            result = fetch(reference, route, max_bytes=max_bytes, seconds=seconds)
        except Exception as error:  # noqa: BLE001  whatever it is, the caller waits for it
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(answer, result, failure)

    threading.Thread(target=work, name="media download", daemon=True).start()
    return await future


def fetch(reference: MediaReference, route: Route, *, max_bytes: int, seconds: float) -> bytes:
    """As `download`, blocking."""
    if reference["size"] > max_bytes:
        raise MediaError("too_large: the file is larger than what is kept", permanent=True)
    key, sha256, sealed_sha256 = (_bytes(reference[name]) for name in ("key", "sha256", "sealed_sha256"))
    sealed = _get(_address(reference, sealed_sha256), route, max_bytes + BLOCK + MAC_SIZE, seconds)
    if hashlib.sha256(sealed).digest() != sealed_sha256:
        raise MediaError("wrong_hash: the file is not the one of the message", permanent=True)
    plain = _open(reference["kind"], sealed, key)
    if hashlib.sha256(plain).digest() != sha256:
        raise MediaError("wrong_hash: the file is not the one of the message", permanent=True)
    return plain


def _bytes(text: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        value = b""
    if len(value) != 32:
        raise MediaError("unreadable: the message does not say how to open its file", permanent=True)
    return value


def _address(reference: MediaReference, sealed_sha256: bytes) -> str:
    path = reference["path"]
    if reference["kind"] not in KINDS or not PATH_PATTERN.fullmatch(path):
        raise MediaError("unreadable: the message names no file of WhatsApp's", permanent=True)
    joint = "&" if "?" in path else "?"
    digest = quote(base64.urlsafe_b64encode(sealed_sha256).decode())
    return f"https://{HOST}{path}{joint}hash={digest}&mms-type={KINDS[reference['kind']][1]}&__wa-mms="


def _get(address: str, route: Route, limit: int, seconds: float) -> bytes:
    ends = time.monotonic() + seconds
    with requests.Session() as session:
        session.trust_env = False
        if route.proxy_url:
            # With socks5h the proxy looks the name up, as Go lets it with socks5.
            session.proxies = {"https": re.sub(r"^socks5:", "socks5h:", route.proxy_url)}
        try:
            with session.get(
                address,
                headers={"Origin": "https://web.whatsapp.com", "Accept-Encoding": "identity"},
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                verify=route.ca_file or True,
                allow_redirects=False,
                stream=True,
            ) as response:
                return _read(response, limit, ends)
        except (requests.RequestException, OSError) as error:
            raise MediaError(f"unreachable: {type(error).__name__}", permanent=False) from None


def _read(response: requests.Response, limit: int, ends: float) -> bytes:
    if response.status_code in (403, 404, 410):
        raise MediaError("gone: WhatsApp keeps this file no more", permanent=True)
    if response.status_code != 200:
        raise MediaError(f"unreachable: WhatsApp answered {response.status_code}", permanent=False)
    if int(response.headers.get("Content-Length") or 0) > limit:
        raise MediaError("too_large: the file is larger than what is kept", permanent=True)
    data = bytearray()
    while piece := response.raw.read1(PIECE, decode_content=False):
        data += piece
        if len(data) > limit:
            raise MediaError("too_large: the file is larger than what is kept", permanent=True)
        if time.monotonic() > ends:
            raise MediaError("slow: the file did not come in time", permanent=False)
    return bytes(data)


def _open(kind: str, sealed: bytes, key: bytes) -> bytes:
    expanded = HKDF(hashes.SHA256(), 112, None, KINDS[kind][0]).derive(key)
    iv, cipher_key, mac_key = expanded[:16], expanded[16:48], expanded[48:80]
    body, mac = sealed[:-MAC_SIZE], sealed[-MAC_SIZE:]
    expected = hmac.digest(mac_key, iv + body, "sha256")[:MAC_SIZE]
    if not hmac.compare_digest(expected, mac) or not body or len(body) % BLOCK:
        raise MediaError("wrong_hash: the file cannot be opened", permanent=True)
    decryptor = Cipher(algorithms.AES(cipher_key), modes.CBC(iv)).decryptor()
    unpadder = padding.PKCS7(BLOCK * 8).unpadder()
    try:
        plain = unpadder.update(decryptor.update(body) + decryptor.finalize())
        return plain + unpadder.finalize()
    except ValueError:
        raise MediaError("wrong_hash: the file cannot be opened", permanent=True) from None
