"""Encryption at rest: one field class on MultiFernet.

Keys come from FIELD_ENCRYPTION_KEYS: the first writes, all of them read, and the command
`rotate_encryption_keys` rewrites every row with the first.
"""

import hashlib
import hmac
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

if TYPE_CHECKING:  # the stubs' fields are generic, Django's are not
    TextField = models.TextField[str, str]
    BinaryField = models.BinaryField[bytes, bytes]
else:
    TextField, BinaryField = models.TextField, models.BinaryField


NONCE = 12  # bytes


class UndecryptableError(Exception):
    """A stored value was written with a key that FIELD_ENCRYPTION_KEYS no longer has, or is damaged."""


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS is missing")
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(plain: bytes) -> bytes:
    """Return a Fernet token written with the first key."""
    return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS)).encrypt(plain)


def decrypt(token: bytes) -> bytes:
    """Return the plain bytes of a token written with any of the keys; raise UndecryptableError."""
    try:
        return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS)).decrypt(token)
    except InvalidToken as error:
        raise UndecryptableError("no key in FIELD_ENCRYPTION_KEYS opens this value") from error


@lru_cache(maxsize=8)
def _ciphers(purpose: str, keys: tuple[str, ...]) -> list[AESGCM]:
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS is missing")
    salted = f"seal:{purpose}".encode()
    return [AESGCM(hmac.new(key.encode(), salted, hashlib.sha256).digest()) for key in keys]


def seal(plain: bytes, *, purpose: str) -> bytes:
    """Return `plain` encrypted and signed for a message that is not kept: a nonce and AES-256-GCM.

    The keys are made from FIELD_ENCRYPTION_KEYS and `purpose`, so that no stored value passes for a message.
    """
    nonce = secrets.token_bytes(NONCE)
    return nonce + _ciphers(purpose, tuple(settings.FIELD_ENCRYPTION_KEYS))[0].encrypt(nonce, plain, None)


def unseal(sealed: bytes, *, purpose: str) -> bytes | None:
    """Return what was sealed for `purpose` with any of the keys; None for everything else."""
    for cipher in _ciphers(purpose, tuple(settings.FIELD_ENCRYPTION_KEYS)):
        try:
            return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], None)
        except (InvalidTag, ValueError):  # ValueError: too short for a nonce
            continue
    return None


def lookup_digest(value: str) -> str:
    """HMAC-SHA256 in hex, for finding an encrypted value by an indexed column.

    Keyed by SECRET_KEY, so that a copy of the database alone does not allow guessing.
    """
    return _digest(settings.SECRET_KEY, value)


def lookup_digests(value: str) -> list[str]:
    """What to search for: the digest by SECRET_KEY first, then those by each of SECRET_KEY_FALLBACKS.

    A column of digests is named as the encrypted one with `_digest` behind it; `rotate_encryption_keys`
    writes it anew by SECRET_KEY.
    """
    return [_digest(key, value) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


def _digest(secret_key: str, value: str) -> str:
    return hmac.new(f"lookup:{secret_key}".encode(), value.encode(), hashlib.sha256).hexdigest()


class EncryptedTextField(TextField):
    """Text that is encrypted in the database; the empty string stays empty, so that it can be filtered."""

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return encrypt(value.encode()).decode() if value else value

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | None:
        return decrypt(value.encode()).decode() if value else value


class EncryptedBinaryField(BinaryField):
    """Bytes that are encrypted in the database."""

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value:
            value = encrypt(bytes(value))
        return super().get_db_prep_value(value, connection, prepared)

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> bytes | None:
        return decrypt(bytes(value)) if value else value
