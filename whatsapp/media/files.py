"""Files in the storage `media`: each under a key of its own, which its row holds encrypted.

A file is nonce, ciphertext and tag of AES-256-GCM, with its name as associated data: one that was put in the
place of another is not opened. Whoever has the storage alone has nothing; a row that loses its key has
erased its file, whatever copies there are.
"""

import base64
import secrets
from collections.abc import Iterable
from typing import Any

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from whatsapp.models import MediaFile

log = structlog.get_logger("media")
NONCE_SIZE = 12  # bytes
State = MediaFile.State


class FileUnavailable(Exception):
    """The file is not there, not to be opened, or the storage does not answer; the text gives the cause.
    `permanent` when asking again cannot help."""

    def __init__(self, reason: str, *, permanent: bool = True) -> None:
        super().__init__(reason)
        self.permanent = permanent


def storage() -> Storage:
    """The storage that the settings name."""
    return storages["media"]


def has_room(session_id: Any, size: int) -> bool:
    """Whether so many bytes more may be kept for the session: no client fills the disk."""
    kept = MediaFile.objects.filter(session=session_id, state=State.KEPT).aggregate(sum=Sum("size"))
    return (kept["sum"] or 0) + size <= int(settings.MEDIA_SESSION_BYTES)


def new_name() -> str:
    """A name in the storage: a folder for each day, and nothing of the client in it."""
    return f"{timezone.now():%Y/%m/%d}/{secrets.token_hex(16)}"


def new_key() -> str:
    """A key of a file, as its row holds it."""
    return base64.b64encode(AESGCM.generate_key(256)).decode()


def write(*, name: str, key: str, content: bytes) -> None:
    """Encrypt and store; what was left under this name by an attempt that died is replaced.

    Raises what the storage raises.
    """
    nonce = secrets.token_bytes(NONCE_SIZE)
    sealed = nonce + AESGCM(base64.b64decode(key)).encrypt(nonce, content, name.encode())
    place = storage()
    place.delete(name)
    stored = place.save(name, ContentFile(sealed))
    if stored != name:
        raise OSError("the storage has chosen another name")


def read(file: MediaFile) -> bytes:
    """The plain bytes of a kept file. Raises FileUnavailable."""
    if file.state != State.KEPT:
        raise FileUnavailable(f"the file is {file.state}")
    try:
        with storage().open(file.stored_name) as opened:
            sealed = opened.read()
    except Exception as error:
        reason = f"the storage gives no file: {type(error).__name__}"
        raise FileUnavailable(reason, permanent=isinstance(error, FileNotFoundError)) from error
    nonce, ciphertext = sealed[:NONCE_SIZE], sealed[NONCE_SIZE:]
    try:
        return AESGCM(base64.b64decode(file.key)).decrypt(nonce, ciphertext, file.stored_name.encode())
    except (InvalidTag, ValueError) as error:
        raise FileUnavailable("the file is damaged") from error


def remove(rows: Iterable[MediaFile]) -> int:
    """Erase these files: their keys and names in one statement, after the commit the bytes; return how many.

    Bytes that a storage keeps, because it did not answer or this process died, are beyond reading; old ones
    go with their day's folder (`retention.sweep`).
    """
    chosen = list(rows)
    names = [row.stored_name for row in chosen if row.stored_name]
    changed = MediaFile.objects.filter(pk__in=[row.pk for row in chosen]).exclude(state=State.REMOVED).update(
        state=State.REMOVED, key="", reference="", name="", stored_name="", mime="",
        next_attempt_at=None, claimed_until=None,
    )  # fmt: skip

    def drop_all() -> None:
        for name in names:
            drop(name)

    transaction.on_commit(drop_all)
    return changed


def drop(name: str) -> None:
    """Delete bytes that no row needs; a storage that does not answer keeps them until they are swept."""
    try:
        storage().delete(name)
    except Exception as error:  # noqa: BLE001  each storage has its own; the key is gone already
        log.warning("file not deleted from the storage", cause=type(error).__name__)
