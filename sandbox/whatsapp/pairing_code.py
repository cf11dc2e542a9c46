"""Linking by an eight-character code that the person types on the phone.

The code is a password for wrapping both sides' ephemeral keys. Neither side gets an error when it was wrong:
the phone finds out when the companion's key bundle does not decrypt.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from . import curve
from .account import Account
from .client import Client, CodeRegistration
from .hub import Hub, Options
from .node import SERVER, Node
from .refusal import Refused

ROUNDS = 131_072
CODE_PATTERN = re.compile(r"^[1-9A-HJ-NP-TV-Z]{8}$")
BUNDLE_INFO = b"link_code_pairing_key_bundle_encryption_key"
WRONG_CODE = "This code is wrong. Check it and type it again."
WRAPPED_COMPANION_KEY = "link_code_pairing_wrapped_companion_ephemeral_pub"
WRAPPED_PRIMARY_KEY = "link_code_pairing_wrapped_primary_ephemeral_pub"


def _unwrap(code: str, salt: bytes, iv: bytes, data: bytes) -> bytes:
    """AES-CTR under the code; wraps and unwraps. Takes a tenth of a second: not for the event loop."""
    key = hashlib.pbkdf2_hmac("sha256", code.encode(), salt, ROUNDS, 32)
    cipher = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return cipher.update(data) + cipher.finalize()


def _derive(secret: bytes, salt: bytes | None, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(secret)


def find_waiting(hub: Hub, phone: str) -> CodeRegistration:
    """The newest registration that waits for a code from this number; raises Refused."""
    found = [
        connection.pairing.code
        for connection in hub.everyone
        if connection.pairing and connection.pairing.code and connection.pairing.code.phone == phone
    ]
    if not found:
        raise Refused(404, "No device is waiting for a code from this phone.")
    newest = max(found, key=lambda code: code.started)
    if time.monotonic() - newest.started > hub.options.code_lifetime:
        raise Refused(410, "This code is out of date. Ask for a new one.")
    return newest


class CodePairing(CodeRegistration):
    """One companion's wish to be linked by code to the number ``phone``."""

    def __init__(self, options: Options, connection: Client, phone: str, wrapped: bytes) -> None:
        self.options, self.connection = options, connection
        self.phone = phone
        self.wrapped = wrapped
        self.ref = "3@" + secrets.token_urlsafe(48)
        self.started = time.monotonic()
        self.finish: asyncio.Future[tuple[bytes, bytes]] | None = None

    async def enter(self, account: Account, code: str) -> bytes:
        """What the phone does with a typed code: gives the ADV secret for pairing; raises Refused."""
        code = re.sub(r"[\s-]", "", code).upper()
        if not CODE_PATTERN.match(code):
            raise Refused(400, "A linking code has eight letters and digits.")
        if self.finish is not None:
            raise Refused(409, "A code is being checked already.")
        wrapped = self.wrapped
        companion_key = await asyncio.to_thread(_unwrap, code, wrapped[:32], wrapped[32:48], wrapped[48:80])
        ephemeral = curve.new_key_pair()
        salt, iv = os.urandom(32), os.urandom(16)
        sealed = await asyncio.to_thread(_unwrap, code, salt, iv, ephemeral.public)
        self.finish = asyncio.get_running_loop().create_future()
        self._say_hello(account, salt + iv + sealed)
        try:
            bundle, identity = await asyncio.wait_for(self.finish, self.options.pairing_timeout)
        except TimeoutError as error:
            raise Refused(504, "The device did not answer. Ask for a new code.") from error
        finally:
            self.finish = None
        return _open_bundle(account, ephemeral.private, companion_key, bundle, identity)

    def _say_hello(self, account: Account, wrapped: bytes) -> None:
        hello = Node("link_code_companion_reg", {"stage": "primary_hello"}, [
            Node(WRAPPED_PRIMARY_KEY, {}, wrapped),
            Node("primary_identity_pub", {}, account.identity.public),
            Node("link_code_pairing_ref", {}, self.ref.encode()),
        ])  # fmt: skip
        attrs = {"from": SERVER, "type": "link_code_companion_reg", "id": self.connection.new_id(),
                 "t": str(int(time.time()))}  # fmt: skip
        self.connection.send(Node("notification", attrs, [hello]))

    def finished(self, request: Node) -> None:
        """The companion's answer to a typed code, right or wrong."""
        if self.finish is not None and not self.finish.done():
            bundle = request.data_of("link_code_pairing_wrapped_key_bundle")
            self.finish.set_result((bundle, request.data_of("companion_identity_public")))

    def abandon(self, error: Refused) -> None:
        if self.finish is not None and not self.finish.done():
            self.finish.set_exception(error)


def _open_bundle(
    account: Account, ephemeral: bytes, companion_key: bytes, bundle: bytes, companion_identity: bytes
) -> bytes:
    try:
        shared = curve.agree(ephemeral, companion_key)
        key = _derive(shared, bundle[:32], BUNDLE_INFO)
        plain = AESGCM(key).decrypt(bundle[32:44], bundle[44:], None)
        identity_shared = curve.agree(account.identity.private, companion_identity)
    except (InvalidTag, ValueError) as error:
        raise Refused(422, WRONG_CODE) from error
    if plain[:32] != companion_identity or plain[32:64] != account.identity.public:
        raise Refused(422, WRONG_CODE)
    return _derive(shared + identity_shared + plain[64:96], None, b"adv_secret")
