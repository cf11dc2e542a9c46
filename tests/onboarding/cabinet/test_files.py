"""Files in the cabinet: what clients sent is shown, a file goes out with an answer, nobody sees another's."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from marketplace.models import Company, MarketplaceEvent
from tests.onboarding.cabinet.owners import owned_salon, signed_in
from tests.whatsapp.media.received import JPEG, PHONE, kept, message_with
from whatsapp.media import files
from whatsapp.messages import inbox
from whatsapp.models import Conversation, MediaFile, Message

pytestmark = pytest.mark.django_db(transaction=True)
OTHERS = 412870


def received(salon: Company, content: bytes = JPEG, **about: str) -> Message:
    assert salon.session is not None
    return kept(salon.session, content, **about)


def address(message: Message, salon_id: int = 307626) -> str:
    return f"/cabinet/{salon_id}/files/{message.media_id}"


def chat(owner: Client) -> str:
    row = Conversation.objects.get()
    return str(owner.get(f"/cabinet/307626/replies/{row.pk}").content.decode())


def answer(owner: Client, *, nonce: str = "", **fields: Any) -> Any:
    row = Conversation.objects.get()
    return owner.post(
        f"/cabinet/307626/replies/{row.pk}/answer", {"nonce": nonce or str(uuid.uuid4()), **fields}
    )


def upload(content: bytes = JPEG, name: str = "price.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, "text/html")


def test_a_client_s_picture_is_shown_in_the_conversation(owner: Client, salon: Company) -> None:
    message = received(salon)
    assert f'src="{address(message)}"' in chat(owner)
    response = owner.get(address(message))
    assert (response.status_code, response.content, response["Content-Type"]) == (200, JPEG, "image/jpeg")
    assert response["Cache-Control"].startswith("private, no-store")


@pytest.mark.parametrize(
    ("kind", "tag"), [("voice", "<audio"), ("video", "<video"), ("document", "download>")]
)
def test_each_kind_of_file_has_its_place(owner: Client, salon: Company, kind: str, tag: str) -> None:
    received(salon, kind=kind)
    assert tag in chat(owner)


def test_a_name_of_a_file_is_only_text(owner: Client, salon: Company) -> None:
    received(salon, kind="document", name="<script>alert(1)</script>.pdf")
    assert "<script>alert(1)" not in chat(owner)
    assert "&lt;script&gt;alert(1)" in chat(owner)


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ("waiting", "", "being fetched from WhatsApp"),
        ("dead", "too_large: x", "too large to be kept"),
        ("dead", "gone: x", "not kept"),
        ("removed", "", "removed, as its time was over"),
    ],
)
def test_a_file_that_is_not_there_is_told_in_words(
    owner: Client, salon: Company, state: str, error: str, words: str
) -> None:
    message = received(salon)
    MediaFile.objects.update(state=state, last_error=error)
    assert words in chat(owner)
    assert owner.get(address(message)).status_code == 404


def test_a_place_leads_to_a_map(owner: Client, salon: Company) -> None:
    assert salon.session is not None
    place: Any = {"latitude": 55.75, "longitude": 37.61, "name": "У фонтана", "address": ""}
    inbox.record_incoming(message_with(salon.session, location=place))
    shown = chat(owner)
    assert "pt=37.610000,55.750000" in shown
    assert "У фонтана" in shown


def test_another_salon_s_file_does_not_exist(salon: Company) -> None:
    others = owned_salon(OTHERS, owner="2", phone="79990002233")
    message = received(salon)
    stranger = signed_in([others])
    assert stranger.get(address(message, OTHERS)).status_code == 404
    assert stranger.get(address(message)).status_code == 404
    assert Client().get(address(message)).status_code == 302


@pytest.mark.parametrize("number", ["0", "99999999999999999999", "2"])
def test_a_number_of_no_file_is_not_found(owner: Client, salon: Company, number: str) -> None:
    assert owner.get(f"/cabinet/307626/files/{number}").status_code == 404


def test_a_storage_that_is_away_says_so(
    owner: Client, salon: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = received(salon)
    monkeypatch.setattr(files, "storage", _away)
    assert owner.get(address(message)).status_code == 503


def test_an_answer_goes_out_with_its_file_once(owner: Client, salon: Company) -> None:
    received(salon)
    nonce = str(uuid.uuid4())
    for _ in range(2):
        assert answer(owner, nonce=nonce, text="Цены", file=upload()).status_code == 303
    sent = Message.objects.select_related("media").get(direction="out")
    assert sent.media is not None
    assert (sent.text, sent.phone, sent.media.kind, files.read(sent.media)) == ("Цены", PHONE, "image", JPEG)
    assert MediaFile.objects.count() == 2  # the client's and this one
    assert MarketplaceEvent.objects.filter(event_type="client_answered").count() == 1
    assert owner.get(address(sent)).status_code == 200


def test_a_file_needs_no_words(owner: Client, salon: Company) -> None:
    received(salon)
    answer(owner, text="", file=upload(b"%PDF-1.7", "Прайс.pdf"))
    sent = Message.objects.select_related("media").get(direction="out")
    assert sent.media is not None
    assert (sent.text, sent.media.kind, sent.media.name) == ("", "document", "Прайс.pdf")


def test_the_same_form_with_another_file_says_so(owner: Client, salon: Company) -> None:
    received(salon)
    nonce = str(uuid.uuid4())
    answer(owner, nonce=nonce, text="Цены", file=upload())
    again = answer(owner, nonce=nonce, text="Цены", file=upload(JPEG + b"."))
    assert "was sent before" in again.content.decode()
    assert Message.objects.filter(direction="out").count() == 1


@pytest.mark.parametrize(
    ("content", "text", "words"),
    [(bytes(101), "", "at most"), (b"", "", "is empty"), (b"abc", "x" * 1025, "at most 1024 characters")],
)
def test_what_cannot_go_out_is_said_and_the_words_stay(
    owner: Client, salon: Company, settings: Any, content: bytes, text: str, words: str
) -> None:
    received(salon)
    settings.MEDIA_MAX_BYTES = 100
    shown = answer(owner, text=text, file=upload(content)).content.decode()
    assert words in shown
    assert text in shown
    assert not Message.objects.filter(direction="out").exists()
    assert MediaFile.objects.count() == 1


def test_a_storage_that_is_away_takes_no_answer(
    owner: Client, salon: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    received(salon)
    monkeypatch.setattr(files, "storage", _away)
    shown = answer(owner, text="Цены", file=upload()).content.decode()
    assert "Try again in a minute" in shown
    assert not Message.objects.filter(direction="out").exists()


def test_a_file_for_an_unlinked_salon_is_not_even_stored(owner: Client, salon: Company) -> None:
    received(salon)
    assert salon.session is not None
    salon.session.jid, salon.session.status = "", "idle"
    salon.session.save()
    answer(owner, text="Цены", file=upload())
    assert MediaFile.objects.count() == 1


def _away() -> Any:
    raise OSError("the storage is away")
