"""What hosts have heard of messages, beside the key stores: sealed while it is unwritten, and back again."""

import sqlite3
import uuid
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from whatsapp.models import Session
from whatsapp.pool import key_files, spool_files, vault
from whatsapp.sessions import leases


@pytest.fixture
def session() -> uuid.UUID:
    """Of which two turns of hosts have heard something."""
    session = uuid.uuid4()
    keep(session, "-said-old", b"the first\n")
    keep(session, "-said", b"the second\n")
    return session


def keep(session: uuid.UUID, end: str, heard: bytes) -> None:
    path = key_files.store_path(session)
    path.with_name(path.name + end).write_bytes(heard)


def files(session: uuid.UUID) -> list[Path]:
    return list(key_files.store_path(session).parent.glob(f"{session}*"))


def heard(session: uuid.UUID) -> bytes:
    return key_files.store_path(session).with_name(f"{session}.db-said").read_bytes()


def test_what_is_written_goes(session: uuid.UUID) -> None:
    spool_files.remove(session)
    assert files(session) == []


def test_what_is_not_written_is_sealed_and_comes_back(session: uuid.UUID) -> None:
    before = spool_files.modified_at(session)
    spool_files.seal(session)
    (sealed,) = files(session)
    assert b"the first" not in sealed.read_bytes()
    assert sealed.stat().st_mode & 0o077 == 0
    assert spool_files.find() == {session}
    assert spool_files.modified_at(session) >= before
    spool_files.open_sealed(session)
    assert heard(session) == b"the first\nthe second\n"
    assert len(files(session)) == 1


def test_what_was_heard_after_the_sealing_comes_after_it(session: uuid.UUID) -> None:
    spool_files.seal(session)
    keep(session, "-said", b"the third\n")
    spool_files.open_sealed(session)
    assert heard(session) == b"the first\nthe second\nthe third\n"


def test_where_nothing_was_heard_nothing_is_kept() -> None:
    session = uuid.uuid4()
    spool_files.seal(session)
    spool_files.open_sealed(session)
    assert files(session) == []


def test_one_whose_key_is_gone_keeps_no_session_off_line(session: uuid.UUID, settings: Any) -> None:
    good, settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS, [Fernet.generate_key().decode()]
    spool_files.seal(session)
    settings.FIELD_ENCRYPTION_KEYS = good
    spool_files.open_sealed(session)
    assert files(session) == []


@pytest.mark.django_db
def test_it_is_opened_with_the_key_store_and_destroyed_with_it() -> None:
    Session.objects.create(wanted=Session.Wanted.LINKED)
    (lease,) = leases.claim(owner="pool-a", limit=1, seconds=30)
    keys = sqlite3.connect(key_files.store_path(lease.session_id))
    keys.execute("CREATE TABLE keys (value TEXT)")
    keys.close()
    keep(lease.session_id, "-said", b"the first\n")
    vault.store_copy(lease)
    spool_files.seal(lease.session_id)
    vault.prepare(lease.session_id)
    assert heard(lease.session_id) == b"the first\n"
    vault.destroy_local(lease.session_id)  # a newer copy takes the key store's place
    vault.prepare(lease.session_id)
    assert heard(lease.session_id) == b"the first\n"
    spool_files.seal(lease.session_id)
    keep(lease.session_id, "-said", b"the second\n")
    vault.destroy(lease.session_id)
    assert files(lease.session_id) == []
