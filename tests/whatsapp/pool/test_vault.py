"""The vault: an encrypted copy that any machine can take over from, and what happens when it is damaged."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone

from whatsapp.models import Message, Session, StoredCredentials
from whatsapp.pool import key_files, vault
from whatsapp.sessions import leases
from whatsapp.sessions.leases import Lease, LeaseLost

pytestmark = pytest.mark.django_db


@pytest.fixture
def lease() -> Lease:
    Session.objects.create(wanted=Session.Wanted.LINKED)
    return leases.claim(owner="pool-a", limit=1, seconds=30)[0]


@pytest.fixture
def key_store(lease: Lease) -> Iterator[sqlite3.Connection]:
    """A key store that its owner keeps open and writes to, as the WhatsApp library does."""
    store = sqlite3.connect(key_files.store_path(lease.session_id))
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("CREATE TABLE keys (value TEXT)")
    write(store, "first")
    yield store
    store.close()


def write(store: sqlite3.Connection, value: str) -> None:
    store.execute("INSERT INTO keys VALUES (?)", (value,))
    store.commit()


def read(path: Path) -> list[str]:
    store = sqlite3.connect(path)
    try:
        return [value for (value,) in store.execute("SELECT value FROM keys ORDER BY rowid")]
    finally:
        store.close()


def on_another_machine(settings: Any, tmp_path: Path) -> None:
    settings.WHATSAPP_STORE_DIR = tmp_path / "another-machine"


def test_a_copy_taken_while_the_store_is_open_restores_elsewhere(
    lease: Lease, key_store: sqlite3.Connection, settings: Any, tmp_path: Path
) -> None:
    assert vault.store_copy(lease)
    on_another_machine(settings, tmp_path)
    assert read(vault.prepare(lease.session_id).path) == ["first"]


def test_the_same_store_is_not_copied_twice(lease: Lease, key_store: sqlite3.Connection) -> None:
    assert vault.store_copy(lease)
    assert not vault.store_copy(lease)
    write(key_store, "second")
    assert vault.store_copy(lease)
    assert StoredCredentials.objects.get().generation == 2


def test_the_local_store_is_kept_while_the_copy_was_taken_from_it(
    lease: Lease, key_store: sqlite3.Connection
) -> None:
    vault.store_copy(lease)
    write(key_store, "after the copy")
    assert read(vault.prepare(lease.session_id).path) == ["first", "after the copy"]


def test_a_copy_taken_elsewhere_since_replaces_the_local_store(
    lease: Lease, key_store: sqlite3.Connection, settings: Any, tmp_path: Path
) -> None:
    here = settings.WHATSAPP_STORE_DIR
    vault.store_copy(lease)
    on_another_machine(settings, tmp_path)
    elsewhere = sqlite3.connect(vault.prepare(lease.session_id).path)
    write(elsewhere, "elsewhere")
    elsewhere.close()
    vault.store_copy(lease)
    settings.WHATSAPP_STORE_DIR = here
    assert read(vault.prepare(lease.session_id).path) == ["first", "elsewhere"]


def test_a_store_never_copied_is_used_as_it_is(lease: Lease, key_store: sqlite3.Connection) -> None:
    assert read(vault.prepare(lease.session_id).path) == ["first"]


def test_without_store_and_copy_the_credentials_are_missing(lease: Lease) -> None:
    with pytest.raises(vault.CredentialsMissing):
        vault.prepare(lease.session_id)


def test_a_pool_that_lost_the_lease_stores_no_copy(lease: Lease, key_store: sqlite3.Connection) -> None:
    Session.objects.update(lease_owner="pool-b", lease_token=lease.token + 1)
    with pytest.raises(LeaseLost):
        vault.store_copy(lease)
    assert not StoredCredentials.objects.exists()


def test_the_copy_in_the_database_is_encrypted(lease: Lease, key_store: sqlite3.Connection) -> None:
    vault.store_copy(lease)
    with connection.cursor() as cursor:
        cursor.execute("SELECT store FROM whatsapp_storedcredentials")
        stored = bytes(cursor.fetchone()[0])
    assert b"SQLite" not in stored
    assert b"first" not in stored


def test_a_copy_whose_key_is_gone_is_damaged(
    lease: Lease, key_store: sqlite3.Connection, settings: Any, tmp_path: Path
) -> None:
    vault.store_copy(lease)
    on_another_machine(settings, tmp_path)
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(vault.CredentialsDamaged):
        vault.prepare(lease.session_id)


def test_a_copy_with_a_wrong_checksum_is_damaged(
    lease: Lease, key_store: sqlite3.Connection, settings: Any, tmp_path: Path
) -> None:
    vault.store_copy(lease)
    StoredCredentials.objects.update(checksum="0" * 64)
    on_another_machine(settings, tmp_path)
    with pytest.raises(vault.CredentialsDamaged):
        vault.prepare(lease.session_id)


def test_destroying_leaves_nothing_behind(lease: Lease, key_store: sqlite3.Connection) -> None:
    vault.store_copy(lease)
    vault.destroy(lease.session_id)
    assert not StoredCredentials.objects.exists()
    assert not list(key_files.store_path(lease.session_id).parent.glob(f"{lease.session_id}*"))


def test_the_folder_and_a_restored_store_are_private(
    lease: Lease, key_store: sqlite3.Connection, settings: Any, tmp_path: Path
) -> None:
    vault.store_copy(lease)
    on_another_machine(settings, tmp_path)
    path = vault.prepare(lease.session_id).path
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_the_copy_names_who_took_it_and_when(lease: Lease, key_store: sqlite3.Connection) -> None:
    before = timezone.now()
    vault.store_copy(lease)
    kept = StoredCredentials.objects.get()
    assert kept.taken_by == "pool-a"
    assert kept.taken_at >= before


def test_the_copy_of_a_database_from_a_backup_does_not_replace_a_newer_store(
    lease: Lease, key_store: sqlite3.Connection
) -> None:
    vault.store_copy(lease)
    backup = StoredCredentials.objects.values().get()
    for value in ("second", "third"):
        write(key_store, value)
        vault.store_copy(lease)
    StoredCredentials.objects.update(**backup)
    store = vault.prepare(lease.session_id)
    assert read(store.path) == ["first", "second", "third"]
    assert store.note == "credentials_older"
    assert "backup" in store.detail


def test_the_store_of_a_former_device_is_not_taken_for_a_newer_one(
    lease: Lease, key_store: sqlite3.Connection, settings: Any, tmp_path: Path
) -> None:
    here = settings.WHATSAPP_STORE_DIR
    for value in ("second", "third"):
        write(key_store, value)
        vault.store_copy(lease)
    StoredCredentials.objects.all().delete()  # unlinked, and linked anew on another machine
    on_another_machine(settings, tmp_path)
    device = sqlite3.connect(key_files.store_path(lease.session_id))
    device.execute("CREATE TABLE keys (value TEXT)")
    write(device, "another device")
    device.close()
    vault.store_copy(lease)
    settings.WHATSAPP_STORE_DIR = here
    assert read(vault.prepare(lease.session_id).path) == ["another device"]


def test_a_takeover_says_what_the_copy_does_not_know(
    lease: Lease, key_store: sqlite3.Connection, settings: Any, tmp_path: Path
) -> None:
    vault.store_copy(lease)
    on_another_machine(settings, tmp_path)
    assert vault.prepare(lease.session_id).note == "credentials_restored"
    vault.destroy_local(lease.session_id)
    Message.objects.create(
        session_id=lease.session_id,
        phone="79990000002",
        text="after the copy",
        status=Message.Status.SENT,
        wa_message_id="3EB0",
        sent_at=timezone.now(),
    )
    store = vault.prepare(lease.session_id)
    assert store.note == "credentials_older"
    assert "1 messages were sent and 0 received since then" in store.detail


def test_a_damaged_store_does_not_replace_a_good_copy(lease: Lease, key_store: sqlite3.Connection) -> None:
    vault.store_copy(lease)
    good = StoredCredentials.objects.get().checksum
    key_store.close()
    vault.destroy_local(lease.session_id)
    key_files.store_path(lease.session_id).write_bytes(b"SQLite format 3\x00" + b"\xff" * 8000)
    with pytest.raises(key_files.StoreDamaged):
        vault.store_copy(lease)
    assert StoredCredentials.objects.get().checksum == good


def test_a_damaged_copy_is_kept_for_whoever_can_mend_it(
    lease: Lease, key_store: sqlite3.Connection, settings: Any, tmp_path: Path
) -> None:
    vault.store_copy(lease)
    on_another_machine(settings, tmp_path)
    keys, settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS, [Fernet.generate_key().decode()]
    with pytest.raises(vault.CredentialsDamaged):
        vault.prepare(lease.session_id)
    settings.FIELD_ENCRYPTION_KEYS = keys
    assert read(vault.prepare(lease.session_id).path) == ["first"]


def test_a_sealed_store_is_unreadable_on_the_disk_and_comes_back_whole(
    lease: Lease, key_store: sqlite3.Connection
) -> None:
    write(key_store, "a secret of the device")
    key_store.close()
    assert key_files.seal(lease.session_id)
    files = list(key_files.store_path(lease.session_id).parent.iterdir())
    assert [file.suffix for file in files] == [".sealed"]
    content = files[0].read_bytes()
    assert b"SQLite format" not in content
    assert b"a secret of the device" not in content
    assert files[0].stat().st_mode & 0o077 == 0
    assert read(vault.prepare(lease.session_id).path) == ["first", "a secret of the device"]
    assert not key_files.sealed_path(lease.session_id).exists()


def test_a_sealed_store_that_is_newer_than_the_copy_is_used(
    lease: Lease, key_store: sqlite3.Connection
) -> None:
    vault.store_copy(lease)
    write(key_store, "after the copy")
    key_store.close()
    key_files.seal(lease.session_id)
    assert read(vault.prepare(lease.session_id).path) == ["first", "after the copy"]


def test_a_copy_taken_elsewhere_since_replaces_the_sealed_store(
    lease: Lease, key_store: sqlite3.Connection, settings: Any, tmp_path: Path
) -> None:
    here = settings.WHATSAPP_STORE_DIR
    vault.store_copy(lease)
    key_store.close()
    key_files.seal(lease.session_id)
    on_another_machine(settings, tmp_path)
    elsewhere = sqlite3.connect(vault.prepare(lease.session_id).path)
    write(elsewhere, "elsewhere")
    elsewhere.close()
    vault.store_copy(lease)
    settings.WHATSAPP_STORE_DIR = here
    assert read(vault.prepare(lease.session_id).path) == ["first", "elsewhere"]


def test_sealing_that_was_interrupted_loses_nothing(
    lease: Lease, key_store: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_store.close()

    def killed(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as hook, pytest.raises(KeyboardInterrupt):
        hook.setattr(Path, "unlink", killed)
        key_files.seal(lease.session_id)
    assert read(vault.prepare(lease.session_id).path) == ["first"]
    assert not key_files.sealed_path(lease.session_id).exists()


def test_a_sealed_store_whose_key_is_gone_is_replaced_by_the_copy(
    lease: Lease, key_store: sqlite3.Connection, settings: Any
) -> None:
    vault.store_copy(lease)
    key_store.close()
    good = settings.FIELD_ENCRYPTION_KEYS
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    key_files.seal(lease.session_id)
    settings.FIELD_ENCRYPTION_KEYS = good
    assert read(vault.prepare(lease.session_id).path) == ["first"]


def test_destroying_credentials_destroys_the_sealed_store(
    lease: Lease, key_store: sqlite3.Connection
) -> None:
    key_store.close()
    key_files.seal(lease.session_id)
    vault.destroy(lease.session_id)
    assert list(key_files.store_path(lease.session_id).parent.iterdir()) == []
