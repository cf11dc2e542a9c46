"""Files in the storage: encrypted, each under its own key, gone when their time is over."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.utils import timezone

from tests.whatsapp.media.received import JPEG, kept
from whatsapp.media import files, retention
from whatsapp.media.files import FileUnavailable
from whatsapp.messages.retention import FILES
from whatsapp.models import MediaFile, Message
from whatsapp.sessions import services

pytestmark = pytest.mark.django_db(transaction=True)
State = MediaFile.State


def file_of(message: Message) -> MediaFile:
    assert message.media is not None
    return message.media


def put_in_place(name: str, content: bytes) -> None:
    """Change what the storage holds."""
    files.storage().delete(name)
    files.storage().save(name, ContentFile(content))


def test_one_file_put_in_the_place_of_another_is_not_opened() -> None:
    session = services.create_session()
    mine, other = file_of(kept(session)), file_of(kept(session, b"another's"))
    with files.storage().open(other.stored_name) as stored:
        put_in_place(mine.stored_name, stored.read())
    with pytest.raises(FileUnavailable, match="damaged"):
        files.read(mine)
    mine.key = other.key
    with pytest.raises(FileUnavailable, match="damaged"):
        files.read(mine)


@pytest.mark.parametrize("left", [b"", b"short", bytes(40)])
def test_what_was_cut_off_is_not_opened(left: bytes) -> None:
    file = file_of(kept(services.create_session()))
    put_in_place(file.stored_name, left)
    with pytest.raises(FileUnavailable):
        files.read(file)


def test_a_storage_without_the_file_says_so_without_its_paths() -> None:
    file = file_of(kept(services.create_session()))
    files.storage().delete(file.stored_name)
    with pytest.raises(FileUnavailable) as raised:
        files.read(file)
    assert file.stored_name not in str(raised.value)


def test_only_this_user_reads_the_folder() -> None:
    file = file_of(kept(services.create_session()))
    path = Path(files.storage().path(file.stored_name))
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_old_files_go_with_their_keys_and_the_messages_stay() -> None:
    session = services.create_session()
    old, young = kept(session), kept(session)
    name = file_of(old).stored_name
    MediaFile.objects.filter(pk=file_of(old).pk).update(created_at=timezone.now() - timedelta(days=91))
    call_command("prune", verbosity=0)
    row = MediaFile.objects.get(pk=file_of(old).pk)
    assert (row.state, row.key, row.stored_name, row.mime) == (State.REMOVED, "", "", "")
    assert not files.storage().exists(name)
    assert files.read(file_of(young)) == JPEG
    assert Message.objects.get(pk=old.pk).media_id == row.pk


def test_a_pinned_file_and_one_that_waits_to_be_sent_have_no_age() -> None:
    session = services.create_session()
    pinned, waiting = file_of(kept(session)), file_of(kept(session))
    MediaFile.objects.update(created_at=timezone.now() - timedelta(days=200))
    MediaFile.objects.filter(pk=pinned.pk).update(pinned=True)
    Message.objects.create(session=session, source="cabinet", phone="79161234567", media=waiting)
    FILES.forget(timezone.now() - timedelta(days=90), 0)
    assert set(MediaFile.objects.values_list("state", flat=True)) == {State.KEPT}


def test_bytes_without_a_row_go_when_their_day_is_over(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    media = {**settings.STORAGES["media"], "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = {**settings.STORAGES, "media": media}
    session = services.create_session()
    orphan, mine = file_of(kept(session)), file_of(kept(session))
    MediaFile.objects.filter(pk=orphan.pk).delete()
    assert retention.sweep() == 0  # too young to be sure
    monkeypatch.setattr(retention, "ORPHAN_AGE", timedelta(days=-1))
    assert retention.sweep() == 1
    assert not files.storage().exists(orphan.stored_name)
    assert files.read(mine) == JPEG
