"""Rewriting encrypted columns with the first of FIELD_ENCRYPTION_KEYS, and the digests by which their values
are found with SECRET_KEY, while the product runs.

A row is replaced only if its ciphertext is still the one that was read: a writer in between has used the
first key anyway, and its value stays. Rows on the first key are left alone, so a run that was interrupted is
simply started again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import ExpressionWrapper, F

from whatsapp.crypto.encryption import (
    EncryptedBinaryField,
    EncryptedTextField,
    UndecryptableError,
    decrypt,
    lookup_digest,
)

BATCH = 20  # a key store can have a megabyte


OnRow = Callable[[], object]  # told of each row, for a progress bar


def _nothing() -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Column:
    """One encrypted column of one model."""

    model: type[models.Model]
    field: "models.Field[Any, Any]"

    def __str__(self) -> str:
        return f"{self.model._meta.label}.{self.field.name}"

    @property
    def digest_name(self) -> str:
        """The column by which a value of this one is found, or nothing."""
        name = f"{self.field.name}_digest"
        return name if any(each.name == name for each in self.model._meta.local_concrete_fields) else ""


@dataclass(slots=True)
class Count:
    """Rows of a column by the key that opens them; empty values count nowhere."""

    current: int = 0
    old: int = 0
    undecryptable: int = 0
    rewritten: int = 0
    overtaken: int = 0  # written anew by somebody else between our reading and our writing


def columns() -> list[Column]:
    """Every encrypted column of every installed model."""
    return [
        Column(model, field)
        for model in apps.get_models()
        for field in model._meta.local_concrete_fields
        if isinstance(field, EncryptedTextField | EncryptedBinaryField)
    ]


def survey(column: Column, on_row: OnRow = _nothing) -> Count:
    """Count a column's rows by key; changes nothing."""
    count = Count()
    for _key, ciphertext in _ciphertexts(column):
        on_row()
        _classify(ciphertext, count)
    return count


def rotate(column: Column, on_row: OnRow = _nothing) -> Count:
    """Rewrite what is not on the first key; rows that no key opens are counted and left as they are."""
    count = Count()
    for key, ciphertext in _ciphertexts(column):
        on_row()
        plain = _classify(ciphertext, count)
        if plain is not None:
            done = _replace(column, key, ciphertext, plain)
            count.rewritten += done
            count.overtaken += not done
    return count


def survey_digests(column: Column, on_row: OnRow = _nothing) -> Count:
    """Count a column's digests by SECRET_KEY or not; changes nothing."""
    count = Count()
    for _key, _ciphertext, _plain, right in _digests(column):
        on_row()
        count.current += right
        count.old += not right
    return count


def rotate_digests(column: Column, on_row: OnRow = _nothing) -> Count:
    """Write anew what was made with another SECRET_KEY; values that no key opens are left as they are."""
    count = Count()
    for key, ciphertext, plain, right in _digests(column):
        on_row()
        count.current += right
        if not right:
            count.old += 1
            changes = {column.digest_name: lookup_digest(plain)}
            done = _unchanged(column, key, ciphertext).update(**changes)
            count.rewritten += done
            count.overtaken += not done
    return count


def _digests(column: Column) -> Iterator[tuple[Any, bytes, str, bool]]:
    """Key, ciphertext, plain text, and whether the digest beside it is the one by SECRET_KEY."""
    for key, ciphertext in _ciphertexts(column):
        try:
            plain = decrypt(ciphertext).decode()
        except UndecryptableError:
            continue
        stored = column.model._base_manager.filter(pk=key).values_list(column.digest_name, flat=True).first()
        yield key, ciphertext, plain, stored == lookup_digest(plain)


def _raw(column: Column) -> "ExpressionWrapper[Any]":
    """The column as it is stored: the wrapper's own field neither decrypts nor encrypts."""
    stored: models.Field[Any, Any] = (
        models.TextField() if isinstance(column.field, EncryptedTextField) else models.BinaryField()
    )
    return ExpressionWrapper(F(column.field.name), output_field=stored)


def _ciphertexts(column: Column) -> Iterator[tuple[Any, bytes]]:
    """Keys and stored bytes in the order of the key, a batch at a time: no cursor stays open meanwhile."""
    rows = column.model._base_manager.order_by("pk").annotate(_stored=_raw(column))
    last: Any = None
    while batch := list(
        (rows if last is None else rows.filter(pk__gt=last)).values_list("pk", "_stored")[:BATCH]
    ):
        for key, stored in batch:
            if stored:
                yield key, stored.encode() if isinstance(stored, str) else bytes(stored)
        last = batch[-1][0]


def _classify(ciphertext: bytes, count: Count) -> bytes | None:
    """Count one value; return its plain bytes when it is on an old key."""
    try:
        Fernet(settings.FIELD_ENCRYPTION_KEYS[0]).decrypt(ciphertext)
    except InvalidToken:
        try:
            plain = decrypt(ciphertext)
        except UndecryptableError:
            count.undecryptable += 1
            return None
        count.old += 1
        return plain
    count.current += 1
    return None


def _replace(column: Column, key: Any, ciphertext: bytes, plain: bytes) -> int:
    text = isinstance(column.field, EncryptedTextField)
    changes = {column.field.name: plain.decode() if text else plain}
    return _unchanged(column, key, ciphertext).update(**changes)


def _unchanged(column: Column, key: Any, ciphertext: bytes) -> "models.QuerySet[Any]":
    """The row, if its value is still the one that was read."""
    stored = ciphertext.decode() if isinstance(column.field, EncryptedTextField) else ciphertext
    return column.model._base_manager.annotate(_stored=_raw(column)).filter(pk=key, _stored=stored)
