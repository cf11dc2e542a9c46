"""A message with a file: sent once with its caption, tried again when its file cannot be read, given up."""

import asyncio
import hashlib
from typing import Any

import pytest
from django.utils import timezone

from config.shared.database import in_thread
from tests.whatsapp.media.received import JPEG
from tests.whatsapp.outgoing import new, until_message, until_status
from tests.whatsapp.pools import linked_session, running_pool
from whatsapp.engine import UPLOAD_TIMEOUT
from whatsapp.engine.simulated.core import SentFile
from whatsapp.media import files, outgoing
from whatsapp.messages import message_queue
from whatsapp.messages.sender import InFlight
from whatsapp.models import MediaFile, Message, Session
from whatsapp.sessions import services

pytestmark = pytest.mark.django_db(transaction=True)
PDF = b"%PDF-1.7 price list"
Status = Message.Status


@pytest.fixture(autouse=True)
def _as_fast_as_it_goes(settings: Any) -> None:
    settings.SENDING_PACED = False


def queue_file(session: Session, content: bytes, *, name: str = "", **fields: Any) -> Message:
    file = outgoing.store(session_id=session.pk, content=content, name=name)
    return message_queue.queue_with_file(session=session, message=new(**fields), file=file)


@pytest.mark.parametrize(
    ("content", "name", "kind", "mime", "file_name"),
    [
        (JPEG, "photo.jpg", "image", "image/jpeg", ""),
        (PDF, "Прайс.pdf", "document", "application/pdf", "Прайс.pdf"),
        (b"<svg>", "x.svg", "document", "application/octet-stream", "x.svg"),
    ],
)
async def test_a_file_goes_out_with_its_caption(
    content: bytes, name: str, kind: str, mime: str, file_name: str
) -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        message = await in_thread(queue_file, session, content, name=name, text="Цены")
        await until_status(message, Status.SENT)
        (sent,) = running.engine.sent
    digest = hashlib.sha256(content).hexdigest()
    assert sent.text == "Цены"
    assert sent.file == SentFile(kind, mime, file_name, len(content), digest)


async def test_a_file_that_cannot_be_read_for_a_moment_goes_out_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        message = await in_thread(queue_file, session, JPEG)
        row = await in_thread(MediaFile.objects.get, pk=message.media_id)
        with monkeypatch.context() as patched:
            patched.setattr(files, "storage", _broken)
            await until_message(message, lambda found: found.failures > 0)
        assert (await until_status(message, Status.SENT)).error_code == ""
        assert len(running.engine.sent) == 1
        assert row.state == MediaFile.State.KEPT


async def test_a_file_that_is_gone_fails_its_message_and_holds_up_no_other() -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        message = await in_thread(queue_file, session, JPEG, not_before=timezone.now())
        await in_thread(files.remove, [await in_thread(MediaFile.objects.get, pk=message.media_id)])
        text = await in_thread(message_queue.queue_message, session=session, message=new())
        await until_status(text, Status.SENT)
        row = await until_status(message, Status.FAILED)
    assert (row.error_code, row.failures) == ("file_unavailable", 1)


async def test_a_pool_killed_with_a_file_in_flight_leaves_one_message_in_doubt() -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        running.engine.script.lost_answers = [False]
        message = await in_thread(queue_file, session, JPEG)
        await until_status(message, Status.SENDING)
        while running.engine.script.lost_answers:
            await asyncio.sleep(0.02)
        await running.crash()
    assert running.engine.sent == []


def test_the_engine_is_not_restarted_while_it_may_still_upload() -> None:
    text, file = (
        InFlight(1, 1, timezone.now(), with_file=with_file, since=0.0) for with_file in (False, True)
    )
    assert file.answered_by - text.answered_by >= UPLOAD_TIMEOUT


def test_a_repeat_keeps_the_first_message_and_no_second_file(
    django_capture_on_commit_callbacks: Any,
) -> None:
    session = services.create_session()
    first = queue_file(session, JPEG, external_id="same")
    file = outgoing.store(session_id=session.pk, content=JPEG, name="")
    again = message_queue.queue_with_file(session=session, message=new(external_id="same"), file=file)
    assert again.pk == first.pk
    assert MediaFile.objects.count() == 1
    assert not files.storage().exists(file.stored_name)


@pytest.mark.parametrize(("content", "code"), [(b"", "empty"), (bytes(101), "too_large")])
def test_what_is_not_taken_leaves_nothing(settings: Any, content: bytes, code: str) -> None:
    settings.MEDIA_MAX_BYTES = 100
    session = services.create_session()
    with pytest.raises(outgoing.NotAccepted) as raised:
        outgoing.store(session_id=session.pk, content=content, name="")
    assert raised.value.code == code


def test_a_salon_s_own_files_count_too(settings: Any) -> None:
    settings.MEDIA_SESSION_BYTES = 10
    session = services.create_session()
    with pytest.raises(outgoing.NotAccepted, match="quota"):
        outgoing.store(session_id=session.pk, content=bytes(11), name="")


def test_a_name_is_one_line_without_folders() -> None:
    session = services.create_session()
    file = outgoing.store(session_id=session.pk, content=PDF, name="C:\\docs\\..\\a\r\nb\x00.pdf")
    assert file.name == "ab.pdf"


def test_a_message_whose_file_is_gone_is_not_sent_again() -> None:
    session = services.create_session()  # without a device: failed from the start
    message = queue_file(session, JPEG, text="")
    assert message.status == Status.FAILED
    copy = message_queue.resend(message=message)
    assert copy.media_id == message.media_id
    Message.objects.filter(pk=copy.pk).update(text="", phone="", pruned_at=timezone.now())
    with pytest.raises(message_queue.NotResendable):
        message_queue.resend(message=copy)
    files.remove(MediaFile.objects.all())
    with pytest.raises(message_queue.NotResendable):
        message_queue.resend(message=message)


def _broken() -> Any:
    raise OSError("the disk is away")
