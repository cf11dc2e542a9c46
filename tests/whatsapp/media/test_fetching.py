"""What clients send is kept: fetched once, tried again, given up with a word, never two messages of one."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from config.shared.database import in_thread
from tests.whatsapp.media.received import JPEG, message_with, reference, send, until_file
from tests.whatsapp.pools import linked_session, running_pool
from whatsapp.engine.events import MediaReference
from whatsapp.engine.media_download import MediaError
from whatsapp.media import files, incoming
from whatsapp.messages import inbox
from whatsapp.models import MediaFile, Message, MessageLocation, Session
from whatsapp.pool import media_fetching
from whatsapp.sessions import services

pytestmark = pytest.mark.django_db(transaction=True)
State = MediaFile.State


def claim_again(row: MediaFile) -> MediaFile:
    """Claim a file whose pause is over."""
    MediaFile.objects.filter(pk=row.pk).update(next_attempt_at=timezone.now())
    claimed = incoming.claim(row.pk)
    assert claimed is not None
    return claimed


async def test_a_client_s_file_is_fetched_and_kept_encrypted() -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        row = await until_file(send(running, session, JPEG, name="паспорт.jpg"), State.KEPT)
    assert files.read(row) == JPEG
    assert (row.name, row.size, row.reference, row.attempts) == ("паспорт.jpg", len(JPEG), "", 1)
    with files.storage().open(row.stored_name) as stored:
        assert JPEG[:16] not in stored.read()


async def test_what_whatsapp_does_not_give_now_is_fetched_later() -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        running.engine.script.download_failures = [MediaError("unreachable: x", permanent=False)]
        event = send(running, session, JPEG)
        row = await until_file(event, State.FAILED)
        assert row.last_error == "unreachable: x"
        await in_thread(MediaFile.objects.filter(pk=row.pk).update, next_attempt_at=timezone.now())
        row = await until_file(event, State.KEPT)
    assert (row.attempts, row.last_error) == (2, "")


async def test_what_whatsapp_keeps_no_more_is_given_up_with_a_word() -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        event = message_with(session, reference())
        running.engine._event_queue.put(event)
        row = await until_file(event, State.DEAD)
    assert row.error_code == "gone"


async def test_too_large_a_file_is_given_up(settings: Any) -> None:
    settings.MEDIA_MAX_BYTES = 100
    async with running_pool() as running:
        session = await linked_session(running)
        row = await until_file(send(running, session, bytes(101)), State.DEAD)
    assert row.error_code == "too_large"


async def test_a_storage_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_named: object) -> None:
        raise OSError("no space left on device")

    async with running_pool() as running:
        session = await linked_session(running)
        with monkeypatch.context() as patched:
            patched.setattr(files, "write", broken)
            event = send(running, session, JPEG)
            row = await until_file(event, State.FAILED)
        assert row.error_code == "not_stored"
        await in_thread(MediaFile.objects.filter(pk=row.pk).update, next_attempt_at=timezone.now())
        await until_file(event, State.KEPT)


async def test_files_that_hang_leave_room_for_those_that_come_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        hangs, download = asyncio.Event(), running.engine.download

        async def hang_if_a_picture(media: MediaReference, **limits: Any) -> bytes:
            if media["kind"] == "image":
                hangs.set()
                await asyncio.Event().wait()
            return await download(media, **limits)

        monkeypatch.setattr(running.engine, "download", hang_if_a_picture)
        for _picture in range(media_fetching.AT_ONCE - 1):
            hung = send(running, session, JPEG)
        await hangs.wait()
        for _document in range(media_fetching.AT_ONCE):
            event = send(running, session, b"%PDF-1.4", kind="document", mime="application/pdf")
            await until_file(event, State.KEPT)
        assert (await until_file(hung, State.WAITING)).claimed_until is not None


async def test_a_pool_that_is_stopped_gives_back_what_it_was_fetching() -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        hung = running.engine.script.hanging_download = asyncio.Event()
        event = send(running, session, JPEG)
        await hung.wait()
        await running.end()
    row = await until_file(event, State.WAITING)
    assert row.claimed_until is None


def test_a_message_that_comes_twice_has_one_file() -> None:
    session = services.create_session()
    event = message_with(session, reference(), text="вот")
    assert inbox.record_incoming(event) is True
    assert inbox.record_incoming(event) is False
    message = Message.objects.get(wa_message_id=event.wa_message_id)
    assert MediaFile.objects.get().pk == message.media_id
    assert message.text == "вот"


def test_a_salon_s_files_have_a_bound(settings: Any) -> None:
    settings.MEDIA_SESSION_BYTES = 150
    session = services.create_session()
    first, second = (_recorded(session, size=100) for _ in range(2))
    row = incoming.claim(first.pk)
    assert row is not None
    incoming.keep(row, bytes(100))
    assert incoming.claim(second.pk) is None
    second.refresh_from_db()
    assert (second.state, second.error_code) == (State.DEAD, "quota")


def test_an_attempt_that_died_while_it_wrote_is_repeated_over_its_rest() -> None:
    row = _recorded(services.create_session())
    claimed = incoming.claim(row.pk)
    assert claimed is not None
    files.write(name=row.stored_name, key=row.key, content=b"half")
    MediaFile.objects.filter(pk=row.pk).update(claimed_until=timezone.now() - timedelta(seconds=1))
    incoming.keep(claim_again(row), JPEG)
    row.refresh_from_db()
    assert files.read(row) == JPEG


def test_nothing_is_kept_of_a_file_that_was_erased_while_it_was_fetched() -> None:
    row = _recorded(services.create_session())
    claimed = incoming.claim(row.pk)
    assert claimed is not None
    files.remove([row])
    incoming.keep(claimed, JPEG)
    row.refresh_from_db()
    assert (row.state, row.key, row.name) == (State.REMOVED, "", "")
    assert not files.storage().exists(claimed.stored_name)


def test_a_place_is_kept_with_its_message() -> None:
    session = services.create_session()
    place = {"latitude": 55.75, "longitude": 37.61, "name": "Салон\x00", "address": "Тверская, 1"}
    event = message_with(session, location=place)  # type: ignore[arg-type]
    inbox.record_incoming(event)
    row = MessageLocation.objects.get(message__wa_message_id=event.wa_message_id)
    assert (row.latitude, row.longitude, row.name, row.address) == (55.75, 37.61, "Салон", "Тверская, 1")


def _recorded(session: Session, *, size: int = 0) -> MediaFile:
    return incoming.record(session.pk, reference(size=size))
