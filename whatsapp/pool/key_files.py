"""The files of key stores on this machine: private, and encrypted while no engine host uses them.

A key store that no host uses any more is sealed: the file is replaced by an encrypted one, which is opened
again before the next start. Only a killed pool leaves a plain file behind.
"""

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import structlog
from django.conf import settings

from whatsapp.crypto.encryption import UndecryptableError, decrypt, encrypt

log = structlog.get_logger("vault")

SessionId = uuid.UUID | str
SQLITE_FILES = ("-wal", "-shm", "-journal")


class StoreDamaged(Exception):
    """The local key store cannot be copied: what is in the database stays as it is."""


def store_path(session_id: SessionId) -> Path:
    """Path of the session's key store; its folder is private and made on first use."""
    folder = Path(settings.WHATSAPP_STORE_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{session_id}.db"


def modified_at(session_id: SessionId) -> float:
    """Seconds since the epoch of the last write to the local key store; 0 without one."""
    path = store_path(session_id)
    files = [path, path.with_name(f"{path.name}-wal")]
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def read_consistently(path: Path) -> bytes:
    """The key store's bytes at one moment, while its owner may be writing to it; raises StoreDamaged."""
    try:
        # Not read-only: a journal left by a killed process has to be rolled back first.
        with (
            closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=5)) as source,
            closing(sqlite3.connect(":memory:")) as target,
        ):
            source.backup(target)
            (result,) = target.execute("PRAGMA quick_check(1)").fetchone()
            store = target.serialize()
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"the key store cannot be read: {error}") from error
    if result != "ok":
        raise StoreDamaged(f"the key store is damaged: {result}")
    return store


def sealed_path(session_id: SessionId) -> Path:
    """The encrypted file that stands for a key store which nobody uses."""
    return store_path(session_id).with_suffix(".sealed")


def seal(session_id: SessionId) -> bool:
    """Encrypt the local key store on the disk; False when there is none.

    Call it under the session's lease, when its engine session has ended: whoever has the file open would go
    on with one that is deleted. Raises StoreDamaged; the file stays as it is then.
    """
    path = store_path(session_id)
    if not path.exists():
        return False
    _merge_journal(path)
    # The encrypted file is complete before the plain one goes: a crash leaves either, or both. It is not
    # compressed: a pool that stops has seconds for all its sessions.
    write_private(sealed_path(session_id), encrypt(path.read_bytes()))
    for file in (path, *(path.with_name(path.name + end) for end in SQLITE_FILES)):
        file.unlink(missing_ok=True)
    return True


def _merge_journal(path: Path) -> None:
    """Bring what SQLite has in files beside the key store into it; raises StoreDamaged."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=5)) as database:
            (busy, *_pages) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"the key store cannot be read: {error}") from error
    if busy:
        raise StoreDamaged("the key store is still in use")


def open_sealed(session_id: SessionId) -> None:
    """Bring the plain key store back; one that cannot be decrypted is dropped: the database has a copy."""
    path, sealed = store_path(session_id), sealed_path(session_id)
    if not sealed.exists():
        return
    if not path.exists():  # with both, sealing or opening was interrupted, and they are the same
        try:
            write_private(path, decrypt(sealed.read_bytes()))
        except UndecryptableError as error:
            log.warning("sealed key store not opened", session=str(session_id), cause=str(error))
    sealed.unlink()


def write_private(path: Path, content: bytes) -> None:
    """Write the file so that it appears whole or not at all, and for nobody but us."""
    draft = path.with_name(f"{path.name}-new")
    draft.touch(mode=0o600)
    draft.write_bytes(content)
    draft.replace(path)
