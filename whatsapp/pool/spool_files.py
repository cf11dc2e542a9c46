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
from whatsapp.engine.host.spool import ENDS, spool_paths
from whatsapp.pool.key_files import SessionId, store_path, write_private

log = structlog.get_logger("vault")
SEALED = ".said-sealed"


def find() -> set[uuid.UUID]:
    """The sessions of which something is kept here, sealed or not."""
    found = set()
    for end in (*ENDS, SEALED):
        for file in Path(settings.WHATSAPP_STORE_DIR).glob(f"*{end}"):
            with suppress(ValueError):  # another file
                found.add(uuid.UUID(file.name.partition(".")[0]))
    return found


def modified_at(session_id: SessionId) -> float:
    """When it was last written to, in seconds since the epoch; 0 when nothing is kept."""
    times = [0.0]
    for file in _all(session_id):
        with suppress(FileNotFoundError):  # or removed meanwhile
            times.append(file.stat().st_mtime)
    return max(times)


def remove(session_id: SessionId) -> None:
    """Remove what is kept of the session's messages."""
    for file in _all(session_id):
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
        modified = modified_at(session_id)
        write_private(path, decrypt(sealed.read_bytes()) + (path.read_bytes() if path.exists() else b""))
        os.utime(path, (modified, modified))  # so long ago was something heard
    except UndecryptableError as error:
        log.warning("sealed spool not opened", session=str(session_id), cause=str(error))
    sealed.unlink()


def _plain(session_id: SessionId) -> tuple[Path, Path]:
    return spool_paths(store_path(session_id))


def _sealed(session_id: SessionId) -> Path:
    return store_path(session_id).with_suffix(SEALED)


def _all(session_id: SessionId) -> tuple[Path, ...]:
    return (*_plain(session_id), _sealed(session_id))
