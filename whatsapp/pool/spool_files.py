"""What engine hosts have heard of messages lately (`whatsapp.engine.host.spool`): files beside a key store.

When a session is at rest they are removed if all of it is in the database; else they are sealed with the key
store, and read by the next run. Only a killed pool leaves plain ones behind.
"""

import os
import uuid
from contextlib import suppress
from pathlib import Path

import structlog
from django.conf import settings

from whatsapp.crypto.encryption import UndecryptableError, decrypt, encrypt
from whatsapp.pool.key_files import SessionId, store_path, write_private

log = structlog.get_logger("vault")
PLAIN = ("-said-old", "-said")  # after the key store's name; the older first
SEALED = ".said-sealed"


def find() -> dict[uuid.UUID, float]:
    """The sessions of which something is kept here, sealed or not, and when it was last written to (seconds
    since the epoch)."""
    found: dict[uuid.UUID, float] = {}
    for end in (*PLAIN, SEALED):
        for file in Path(settings.WHATSAPP_STORE_DIR).glob(f"*{end}"):
            with suppress(ValueError, FileNotFoundError):  # another file; removed meanwhile
                session_id = uuid.UUID(file.name.partition(".")[0])
                found[session_id] = max(file.stat().st_mtime, found.get(session_id, 0.0))
    return found


def remove(session_id: SessionId) -> None:
    """Remove what is kept of the session's messages."""
    for file in (*_plain(session_id), _sealed(session_id)):
        file.unlink(missing_ok=True)


def seal(session_id: SessionId) -> None:
    """Encrypt it. Call it under the session's lease, when its engine session has ended."""
    if heard := b"".join(file.read_bytes() for file in _plain(session_id) if file.exists()):
        write_private(_sealed(session_id), encrypt(heard))
        for file in _plain(session_id):
            file.unlink(missing_ok=True)


def open_sealed(session_id: SessionId) -> None:
    """Bring the plain file back; one that cannot be decrypted is dropped."""
    sealed, (_older, path) = _sealed(session_id), _plain(session_id)
    if not sealed.exists():
        return
    try:
        modified = max(file.stat().st_mtime for file in (sealed, path) if file.exists())
        write_private(path, decrypt(sealed.read_bytes()) + (path.read_bytes() if path.exists() else b""))
        os.utime(path, (modified, modified))  # so long ago was something heard
    except UndecryptableError as error:
        log.warning("sealed spool not opened", session=str(session_id), cause=str(error))
    sealed.unlink()


def _plain(session_id: SessionId) -> list[Path]:
    path = store_path(session_id)
    return [path.with_name(path.name + end) for end in PLAIN]


def _sealed(session_id: SessionId) -> Path:
    return store_path(session_id).with_suffix(SEALED)
