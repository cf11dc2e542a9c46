"""Encryption at rest: one field class on MultiFernet.

Keys come from FIELD_ENCRYPTION_KEYS: the first writes, all of them read, and the command
`rotate_encryption_keys` rewrites every row with the first.
"""

import base64
import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

if TYPE_CHECKING:  # the stubs' fields are generic, Django's are not
    TextField = models.TextField[str, str]
    BinaryField = models.BinaryField[bytes, bytes]
else:
    TextField, BinaryField = models.TextField, models.BinaryField


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
def _fernet_of(purpose: str, keys: tuple[str, ...]) -> MultiFernet:
    def derive(key: str) -> Fernet:
        derived = hmac.new(key.encode(), f"seal:{purpose}".encode(), hashlib.sha256).digest()
        return Fernet(base64.urlsafe_b64encode(derived))

    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS is missing")
    return MultiFernet([derive(key) for key in keys])


def seal(plain: bytes, *, purpose: str) -> bytes:
    """Return `plain` encrypted and signed for a message that is not kept.

    The keys are made from FIELD_ENCRYPTION_KEYS and `purpose`, so that no stored value passes for a message.
    """
    return _fernet_of(purpose, tuple(settings.FIELD_ENCRYPTION_KEYS)).encrypt(plain)


def unseal(token: bytes | str, *, purpose: str, seconds: int) -> bytes | None:
    """Return what was sealed for `purpose` within the last `seconds`; None for everything else."""
    try:
        return _fernet_of(purpose, tuple(settings.FIELD_ENCRYPTION_KEYS)).decrypt(token, ttl=seconds)
    except (InvalidToken, ValueError):  # ValueError: text outside of ASCII
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
