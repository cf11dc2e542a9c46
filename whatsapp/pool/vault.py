"""Key stores: one private file per session while it is on line, an encrypted copy in the database.

The copy lets any machine take a session over without a new QR code. A local file is used as it is when the
copy in the database was taken from it, or is older than the last one that was; a copy taken elsewhere since
then replaces it. What is neither plainly right nor plainly lost is said in the session's history.
"""

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import structlog
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from whatsapp.crypto.encryption import UndecryptableError
from whatsapp.models import Message, Session, StoredCredentials
from whatsapp.pool import key_files, spool_files
from whatsapp.sessions.leases import Lease, LeaseLost

log = structlog.get_logger("vault")


class CredentialsMissing(Exception):
    """The session has a device but neither a usable local key store nor a copy of one."""


class CredentialsDamaged(Exception):
    """The copy in the database cannot be decrypted or does not match its checksum."""


@dataclass(frozen=True, slots=True)
class KeyStore:
    """A key store that is ready for connecting; `note` and `detail` are for the session's history."""

    path: Path
    note: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a local key store comes from: the copies that were taken from it, by checksum, and the number
    and time (ISO) of the last."""

    copies: list[str] = field(default_factory=list)
    generation: int = 0
    taken_at: str = ""


def _origin_path(session_id: key_files.SessionId) -> Path:
    """The note beside a key store; see `Origin`."""
    return key_files.store_path(session_id).with_suffix(".origin")


def _origin(session_id: key_files.SessionId) -> Origin:
    try:
        known = json.loads(_origin_path(session_id).read_text())
        return Origin(copies=known) if isinstance(known, list) else Origin(**known)
    except (FileNotFoundError, ValueError, TypeError):
        return Origin()


def _note_origin(session_id: key_files.SessionId, origin: Origin) -> None:
    key_files.write_private(_origin_path(session_id), json.dumps(asdict(origin)).encode())


def store_copy(lease: Lease) -> bool:
    """Store an encrypted copy of the local key store; False when the copy there is the same.

    Raises LeaseLost when the session is not ours any more, StoreDamaged when the local key store is no good
    one; nothing is stored then.
    """
    path = key_files.store_path(lease.session_id)
    if not path.exists():
        return False
    store = key_files.read_consistently(path)
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
        generation, now = kept.generation + 1 if kept else 1, timezone.now()
        # Noted before the commit, beside the older one: whichever of them a crash leaves in the
        # database, this file is known to be where it came from.
        copies = [checksum, *([kept.checksum] if kept else [])]
        _note_origin(lease.session_id, Origin(copies, generation, now.isoformat()))
        StoredCredentials.objects.update_or_create(
            session_id=lease.session_id,
            defaults={
                "store": zlib.compress(store, 3),
                "checksum": checksum,
                "generation": generation,
                "taken_at": now,
                "taken_by": lease.owner,
            },
        )
    log.debug("key store copied", session=str(lease.session_id), bytes=len(store))
    return True


def prepare(session_id: key_files.SessionId) -> KeyStore:
    """Make the local key store ready for connecting.

    Raises CredentialsMissing or CredentialsDamaged; a copy that cannot be used is left as it is.
    """
    key_files.open_sealed(session_id)
    spool_files.open_sealed(session_id)
    path = key_files.store_path(session_id)
    kept = StoredCredentials.objects.filter(session_id=session_id).defer("store").first()
    if kept is None:
        if path.exists():
            return KeyStore(path)  # paired, and killed before the first copy
        raise CredentialsMissing("neither this machine nor the database has the device's keys")
    local = _origin(session_id) if path.exists() else Origin()
    if kept.checksum in local.copies:
        return KeyStore(path)
    # Both must agree: numbers start anew with a new device, and clocks of machines differ.
    if local.generation > kept.generation and datetime.fromisoformat(local.taken_at) > kept.taken_at:
        detail = (
            f"the database has copy {kept.generation} of {_moment(kept.taken_at)}, this machine's key store "
            f"is newer (copy {local.generation}) and is used: was the database restored from a backup?"
        )
        return KeyStore(path, "credentials_older", detail)
    _restore(session_id, path)
    return _restored(session_id, path, kept)


def _restored(session_id: key_files.SessionId, path: Path, kept: StoredCredentials) -> KeyStore:
    """Says of which moment the keys are, and what passed since: that is what the copy does not know."""
    passed = Message.objects.filter(session_id=session_id).aggregate(
        sent=Count("pk", filter=Q(direction="out", sent_at__gt=kept.taken_at)),
        received=Count("pk", filter=Q(direction="in", created_at__gt=kept.taken_at)),
    )
    detail = f"copy {kept.generation} of {_moment(kept.taken_at)}, taken by {kept.taken_by}"
    if not any(passed.values()):
        return KeyStore(path, "credentials_restored", detail)
    since = f"{passed['sent']} messages were sent and {passed['received']} received since then"
    return KeyStore(path, "credentials_older", f"{detail}; {since}: some may have to be sent again")


def _moment(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def _restore(session_id: key_files.SessionId, path: Path) -> None:
    try:
        kept = StoredCredentials.objects.get(session_id=session_id)
        store = zlib.decompress(bytes(kept.store))
    except (UndecryptableError, zlib.error) as error:
        raise CredentialsDamaged(f"the copy of the device's keys cannot be read: {error}") from error
    if hashlib.sha256(store).hexdigest() != kept.checksum:
        raise CredentialsDamaged("the copy of the device's keys is damaged: its checksum differs")
    destroy_local(session_id)
    key_files.write_private(path, store)
    _note_origin(session_id, Origin([kept.checksum], kept.generation, kept.taken_at.isoformat()))
    log.info(
        "key store restored", session=str(session_id), generation=kept.generation, taken_by=kept.taken_by
    )


def destroy_local(session_id: key_files.SessionId) -> None:
    """Delete the local key store and what belongs to it, but for its spool."""
    path = key_files.store_path(session_id)
    beside = [path.with_name(path.name + end) for end in key_files.SQLITE_FILES]
    for file in (path, *beside, key_files.sealed_path(session_id), _origin_path(session_id)):
        file.unlink(missing_ok=True)


def destroy(session_id: key_files.SessionId) -> None:
    """Destroy the session's credentials, here and in the database."""
    StoredCredentials.objects.filter(session_id=session_id).delete()
    destroy_local(session_id)
    spool_files.remove(session_id)
