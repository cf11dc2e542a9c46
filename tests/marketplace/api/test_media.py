"""Files over the public API: sent with a message, listed with it, fetched, and nobody else's."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from marketplace.inbound import forwarding_post
from marketplace.models import Company
from marketplace.models.forwarding import ForwardedMessage, Forwarding
from tests.marketplace.api.conftest import BASE, ApiCaller, caller_for
from tests.marketplace.salons_data import EKATERINBURG, make_active
from tests.whatsapp.media.received import JPEG, kept, message_with
from whatsapp.media import files
from whatsapp.messages import inbox
from whatsapp.models import MediaFile, Message

pytestmark = pytest.mark.django_db(transaction=True)


def send(
    caller: ApiCaller, content: bytes = JPEG, *, key: str = "", name: str = "a.jpg", **fields: Any
) -> Any:
    """POST a form with a file."""
    headers = {"Authorization": f"Bearer {caller.key}", "Idempotency-Key": key}
    form = {"to": "+7 999 000-00-00", "file": SimpleUploadedFile(name, content), **fields}
    return Client().post(f"{BASE}/messages", form, headers=headers)


def received(salon: Company, content: bytes = JPEG) -> Message:
    assert salon.session is not None
    return kept(salon.session, content, name="photo.jpg")


def test_a_picture_goes_out_with_its_caption(caller: ApiCaller) -> None:
    answer = send(caller, text="Цены")
    assert answer.status_code == 202
    assert answer.json()["media"] == {
        "kind": "image", "mime": "image/jpeg", "file_name": "a.jpg", "size": len(JPEG), "state": "kept",
        "error": "",
    }  # fmt: skip
    row = Message.objects.select_related("media").get()
    assert row.media is not None
    assert (row.text, files.read(row.media)) == ("Цены", JPEG)


def test_a_document_needs_no_words(caller: ApiCaller) -> None:
    assert send(caller, b"%PDF-1.7", name="price.pdf").json()["media"]["kind"] == "document"


def test_a_repeat_of_the_key_sends_and_stores_nothing(caller: ApiCaller) -> None:
    first, second = send(caller, key="price-7"), send(caller, key="price-7")
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]
    assert MediaFile.objects.count() == 1


def test_a_key_used_with_another_file_is_refused(caller: ApiCaller) -> None:
    send(caller, key="price-7")
    answer = send(caller, JPEG + b".", key="price-7")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("content", "text", "status", "code"),
    [
        (b"", "", 400, "file_empty"),
        (bytes(101), "", 413, "file_too_large"),
        (b"abc", "x" * 1025, 400, "invalid"),
    ],
)
def test_what_is_not_taken_says_why(
    caller: ApiCaller, settings: Any, content: bytes, text: str, status: int, code: str
) -> None:
    settings.MEDIA_MAX_BYTES = 100
    answer = send(caller, content, text=text)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not MediaFile.objects.exists()


def test_a_salon_has_a_bound(caller: ApiCaller, settings: Any) -> None:
    settings.MEDIA_SESSION_BYTES = 100
    assert send(caller, bytes(101)).status_code == 507


def test_a_file_as_json_is_no_file(caller: ApiCaller) -> None:
    answer = caller.send(file="data:image/png;base64,AAAA")
    assert (answer.status_code, [*answer.json()["errors"]]) == (400, ["file"])


def test_long_json_is_cut_off_although_files_may_be_long(caller: ApiCaller, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = caller.send(text="x" * 1000)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_file_is_not_read_from_who_has_no_key() -> None:
    form = {"to": "+7 999 000-00-00", "file": SimpleUploadedFile("a.jpg", JPEG)}
    assert Client().post(f"{BASE}/messages", form).status_code == 401
    assert not MediaFile.objects.exists()


def test_what_a_client_sent_is_listed_and_fetched(caller: ApiCaller, moscow: Company) -> None:
    message = received(moscow)
    (row,) = caller.get("/inbound").json()["results"]
    assert (row["media"]["file_name"], row["media"]["state"]) == ("photo.jpg", "kept")
    answer = caller.get(f"/messages/{message.pk}/media")
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, JPEG, "image/jpeg")
    part = caller.call("GET", f"/messages/{message.pk}/media", Range="bytes=0-3")
    assert (part.status_code, part.content) == (206, JPEG[:4])


def test_a_place_is_listed(caller: ApiCaller, moscow: Company) -> None:
    assert moscow.session is not None
    place: Any = {"latitude": 55.75, "longitude": 37.61, "name": "", "address": "Тверская, 1"}
    inbox.record_incoming(message_with(moscow.session, location=place))
    assert caller.get("/inbound").json()["results"][0]["location"] == place


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        *(("waiting", 409, "not_ready"), ("failed", 409, "not_ready")),
        *(("dead", 410, "gone"), ("removed", 410, "gone")),
    ],
)
def test_a_file_that_is_not_there_says_why(
    caller: ApiCaller, moscow: Company, state: str, status: int, code: str
) -> None:
    message = received(moscow)
    MediaFile.objects.update(state=state)
    answer = caller.get(f"/messages/{message.pk}/media")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"] == "application/problem+json"


def test_another_salon_s_file_does_not_exist(moscow: Company) -> None:
    message = received(moscow)
    stranger = caller_for(make_active(EKATERINBURG))
    assert stranger.get(f"/messages/{message.pk}/media").status_code == 404
    assert Client().get(f"{BASE}/messages/{message.pk}/media").status_code == 401
    sender = caller_for(moscow, scopes=["messages:send"])
    assert sender.get(f"/messages/{message.pk}/media").status_code == 403


def test_what_is_forwarded_names_the_file_and_not_its_key(caller: ApiCaller, moscow: Company) -> None:
    message = received(moscow)
    target = Forwarding.objects.create(company=moscow, url="https://bot.example.com/", secret="s")
    row = ForwardedMessage.objects.create(forwarding=target, message=message)
    payload = forwarding_post._payload(row, moscow)
    media = payload["message"]["media"]
    assert (media["kind"], media["size"]) == ("image", len(JPEG))
    assert caller.get(media["url"].partition("/api/v1")[2]).content == JPEG
    assert message.media is not None
    assert message.media.key not in str(payload)
