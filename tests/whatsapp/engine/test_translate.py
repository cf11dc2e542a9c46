"""The library's words in ours, and what of its output may be logged."""

from __future__ import annotations

from typing import Any

import pytest
from neonize.proto import Neonize_pb2 as library
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from whatsapp.engine.commands import SendMedia
from whatsapp.engine.host import translate
from whatsapp.engine.supervisor.scrub import scrub

SESSION = "5d3f7a52-7f3b-4a54-9f6a-0d4b8b0f6a11"
PERSON = library.JID(User="79990000002", Server="s.whatsapp.net")
PERSON_LID = library.JID(User="171229936301147", Server="lid", Device=3)


def message(body: Message, **source: Any) -> Any:
    values = {"Chat": PERSON_LID, "Sender": PERSON_LID, "SenderAlt": PERSON} | source
    info = library.MessageInfo(ID="3A34", Timestamp=1795425868, MessageSource=library.MessageSource(**values))
    return library.Message(Info=info, Message=body)


def test_a_message_from_a_lid_names_phone_and_lid() -> None:
    received = translate.incoming(SESSION, message(Message(conversation="Привет")))
    assert received is not None
    assert (received.phone, received.lid, received.text) == ("79990000002", "171229936301147@lid", "Привет")


def test_a_message_without_a_known_phone_still_names_the_lid() -> None:
    received = translate.incoming(SESSION, message(Message(conversation="Привет"), SenderAlt=library.JID()))
    assert received is not None
    assert (received.phone, received.lid) == (None, "171229936301147@lid")


@pytest.mark.parametrize(
    "source",
    [
        {"IsFromMe": True},
        {"IsGroup": True},
        {"Chat": library.JID(User="status", Server="broadcast")},
        {"Chat": library.JID(User="1203", Server="newsletter")},
    ],
)
def test_what_is_not_a_private_message_of_a_person_is_passed_over(source: dict[str, Any]) -> None:
    assert translate.incoming(SESSION, message(Message(conversation="x"), **source)) is None


def test_a_picture_has_a_note_and_its_caption() -> None:
    body = Message()
    body.imageMessage.caption = "Такой цвет"
    assert translate.content(body) == ("Такой цвет", "image")


def test_matters_of_the_protocol_are_no_messages() -> None:
    body = Message()
    body.protocolMessage.type = 0
    assert translate.incoming(SESSION, message(body)) is None


def receipt(kind: str, **source: Any) -> Any:
    return library.Receipt(
        MessageIDs=["3EB0"],
        Timestamp=1795425868000000000,
        Type=library.Receipt.ReceiptType.Value(kind),
        MessageSource=library.MessageSource(**source),
    )


@pytest.mark.parametrize(("kind", "expected"), [("DELIVERED", "delivered"), ("READ", "read")])
def test_a_receipt_of_the_recipient_counts(kind: str, expected: str) -> None:
    received = translate.receipt(SESSION, receipt(kind))
    assert received is not None
    assert (received.kind, received.message_ids, received.at) == (expected, ["3EB0"], 1795425868)


@pytest.mark.parametrize("kind", ["SENDER", "READ_SELF", "RETRY", "SERVER_ERROR"])
def test_other_receipts_do_not_count(kind: str) -> None:
    assert translate.receipt(SESSION, receipt(kind)) is None


def test_a_receipt_of_our_own_phone_does_not_count() -> None:
    assert translate.receipt(SESSION, receipt("READ", IsFromMe=True)) is None


@pytest.mark.parametrize(
    ("error", "word", "permanent"),
    [
        ("websocket not connected", "not_connected", False),
        ("failed to get device list: websocket disconnected before info query", "not_connected", False),
        ("timed out waiting for message send response", "timeout", False),
        ("websocket disconnected before message send returned response", "timeout", False),
        ("server returned error 463", "refused", True),
        ("server returned error 503", "refused", False),
        ("server returned error 429", "refused", False),
        ("no signal session established with 79990000002:0", "failed", False),
    ],
)
def test_a_failed_send_has_a_machine_word(error: str, word: str, permanent: bool) -> None:
    failure = translate.send_failure(SESSION, "1", error)
    assert failure.error.startswith(f"{word}: ")
    assert failure.permanent is permanent
    assert "79990000002" not in failure.error


@pytest.mark.parametrize(
    ("error", "word", "permanent"),
    [
        ("upload failed with status code 413", "too_large", True),
        ("upload failed with status code 503", "upload_failed", False),
        ("websocket not connected: the session is not running", "not_connected", False),
        ('Post "https://mmg.whatsapp.net/mms/image/x?auth=secret": EOF', "upload_failed", False),
    ],
)
def test_upload_failures_are_sorted_and_hold_no_right_to_upload(
    error: str, word: str, permanent: bool
) -> None:
    command = SendMedia(SESSION, "1", "79990000002", "image", "image/png", "", "")
    failure = translate.upload_failure(command, error)
    assert failure.error.startswith(f"{word}: ")
    assert failure.permanent is permanent
    assert "secret" not in failure.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("info query returned status 429: rate-overlimit", "rate_limited"),
        ("phone number too short", "bad_phone"),
        ("info query returned status 400: bad-request", "bad_phone"),
        ("websocket not connected", "failed"),
    ],
)
def test_a_missing_pairing_code_has_a_machine_word(error: str, code: str) -> None:
    assert translate.pairing_code_failure(SESSION, error).code == code


def test_a_ban_of_unknown_kind_is_still_a_ban() -> None:
    ban = translate.ban(SESSION, library.TemporaryBan(Expire=0))
    assert (ban.code, ban.expires_in, ban.reason) == (0, None, "unknown")


def test_the_length_of_a_ban_is_in_seconds() -> None:
    assert translate.ban(SESSION, library.TemporaryBan(Expire=3600 * 10**9)).expires_in == 3600
    assert translate.ban(SESSION, library.TemporaryBan(Expire=3600)).expires_in == 3600


@pytest.mark.parametrize(
    "secret",
    [
        "https://wa.me/settings/linked_devices#2@Ab/c,dEf+,ghi=,jkl=,1",
        "6R4J-8Q3R",
        "2@xYz1234567890abcdef/gh",
        "142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b",
        "79990000002",
        "█▀▀▀▀▀█ ▀▄█ █▀▀▀▀▀█",
    ],
)
def test_secrets_in_the_output_of_a_host_are_masked(secret: str) -> None:
    shown = scrub(f"Pair Code:  {secret} done")
    assert "done" in shown
    assert not any(part in shown for part in secret.split("#")[-1].split(",") if len(part) > 3)


def test_plain_output_stays_readable() -> None:
    line = "fatal error: concurrent map writes"
    assert scrub(line) == line
