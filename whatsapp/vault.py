"""Key stores: one private file per session while it is linked, an encrypted copy in the database.

The copy lets any machine take a session over without a new QR code. A local file is used as it is only
when the copy in the database was taken from it; a copy taken elsewhere since then replaces it.
"""

import hashlib
import json
import sqlite3
import uuid
import zlib
from pathlib import Path

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from whatsapp.encryption import UndecryptableError
from whatsapp.leases import Lease, LeaseLost
from whatsapp.models import Session, StoredCredentials

log = structlog.get_logger("vault")

SessionId = uuid.UUID | str
SQLITE_HEADER = b"SQLite format 3\x00"
SIDE_FILES = ("-wal", "-shm", "-journal")


class CredentialsMissing(Exception):
    """The session has a device but neither a usable local key store nor a copy of one."""


class CredentialsDamaged(Exception):
    """The copy in the database cannot be decrypted or does not match its checksum."""


def store_path(session_id: SessionId) -> Path:
    """Path of the session's key store; its folder is private and made on first use."""
    folder = Path(settings.WHATSAPP_STORE_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{session_id}.db"


def _origin_path(session_id: SessionId) -> Path:
    """The note beside a key store that names the copies taken from it, by checksum."""
    return store_path(session_id).with_suffix(".origin")


def _known_copies(session_id: SessionId) -> list[str]:
    try:
        known = json.loads(_origin_path(session_id).read_text())
    except (FileNotFoundError, ValueError):
        return []
    return [str(item) for item in known] if isinstance(known, list) else []


def _note_copies(session_id: SessionId, checksums: list[str]) -> None:
    path = _origin_path(session_id)
    draft = path.with_suffix(".origin-new")
    draft.write_text(json.dumps(checksums))
    draft.replace(path)


def _read_consistently(path: Path) -> bytes:
    """The key store's bytes at one moment, while its owner may be writing to it."""
    with path.open("rb") as file:
        if file.read(len(SQLITE_HEADER)) != SQLITE_HEADER:
            file.seek(0)
            return file.read()
    source = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    target = sqlite3.connect(":memory:")
    try:
        source.backup(target)
        return target.serialize()
    finally:
        source.close()
        target.close()


def modified_at(session_id: SessionId) -> float:
    """Seconds since the epoch of the last write to the local key store; 0 without one."""
    path = store_path(session_id)
    files = [path, path.with_name(f"{path.name}-wal")]
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def take_copy(lease: Lease) -> bool:
    """Store an encrypted copy of the local key store; False when the copy there is the same.

    Raises LeaseLost, with nothing stored, when the session is not ours any more.
    """
    path = store_path(lease.session_id)
    if not path.exists():
        return False
    store = _read_consistently(path)
    checksum = hashlib.sha256(store).hexdigest()
    with transaction.atomic():
        mine = Session.objects.select_for_update().filter(
            pk=lease.session_id, lease_owner=lease.owner, lease_token=lease.token
        )
        if not mine.exists():
            raise LeaseLost(f"session {lease.session_id}")
        kept = StoredCredentials.objects.filter(session_id=lease.session_id).defer("store").first()
        if kept and kept.checksum == checksum:
            return False
        # Noted before the commit, beside the older one: whichever of them a crash leaves in the
        # database, this file is known to be where it came from.
        _note_copies(lease.session_id, [checksum, *([kept.checksum] if kept else [])])
        StoredCredentials.objects.update_or_create(
            session_id=lease.session_id,
            defaults={
                "store": zlib.compress(store, 3),
                "checksum": checksum,
                "generation": kept.generation + 1 if kept else 1,
                "taken_at": timezone.now(),
                "taken_by": lease.owner,
            },
        )
    log.debug("key store copied", session=str(lease.session_id), bytes=len(store))
    return True


def prepare(session_id: SessionId) -> Path:
    """Make the local key store ready for connecting and return its path.

    Raises CredentialsMissing or CredentialsDamaged.
    """
    path = store_path(session_id)
    local = _known_copies(session_id) if path.exists() else []
    kept = StoredCredentials.objects.filter(session_id=session_id).values_list("checksum", flat=True).first()
    if kept is None:
        if path.exists():
            return path  # paired, and killed before the first copy
        raise CredentialsMissing(f"session {session_id}")
    if kept in local:
        return path
    _restore(session_id, path)
    return path


def _restore(session_id: SessionId, path: Path) -> None:
    try:
        kept = StoredCredentials.objects.get(session_id=session_id)
        store = zlib.decompress(bytes(kept.store))
    except (UndecryptableError, zlib.error) as error:
        raise CredentialsDamaged(f"session {session_id}: {error}") from error
    if hashlib.sha256(store).hexdigest() != kept.checksum:
        raise CredentialsDamaged(f"session {session_id}: checksum differs")
    destroy_local(session_id)
    draft = path.with_suffix(".restoring")
    draft.touch(mode=0o600)
    draft.write_bytes(store)
    draft.replace(path)
    _note_copies(session_id, [kept.checksum])
    log.info(
        "key store restored", session=str(session_id), generation=kept.generation, taken_by=kept.taken_by
    )


def destroy_local(session_id: SessionId) -> None:
    """Delete the local key store and what belongs to it."""
    path = store_path(session_id)
    for file in (path, *(path.with_name(path.name + end) for end in SIDE_FILES), _origin_path(session_id)):
        file.unlink(missing_ok=True)


def destroy(session_id: SessionId) -> None:
    """Destroy the session's credentials, here and in the database."""
    StoredCredentials.objects.filter(session_id=session_id).delete()
    destroy_local(session_id)
