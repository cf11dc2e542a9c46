"""Signed user_data: the golden vector, every way of being broken, every way of being written."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.yclients.signing import (
    BadSignature,
    BadUserData,
    MarketplaceUser,
    decode_base64,
    is_placeholder_token,
    parse_user,
    verify,
)

# Checked against live traffic: the HMAC is over the decoded bytes.
TOKEN = "2t6u73mrh85btb8wgyfj"
USER_DATA = (
    "eyJ1c2VyX2lkIjoxMjMsIm5hbWUiOiLQkNC90LTRgNC10Lkg0JjQstCw0L3QvtCyIiwiZW1haWwiOiJhbmRyZXlAZXhhbXBsZS5jb20i"
    "LCJwaG9uZSI6Ijc5OTkwMDA5OTAwIn0="
)
SIGNATURE = "4c4e4694660399173ce165d761e59dd8da341cf0bb04673db21f28bb4153e950"


def test_the_golden_vector_is_accepted() -> None:
    decoded = verify(user_data=USER_DATA, signature=SIGNATURE, partner_token=TOKEN)
    assert parse_user(decoded) == MarketplaceUser(
        id="123", name="Андрей Иванов", phone="79990009900", email="andrey@example.com"
    )


@pytest.mark.parametrize(
    "signature",
    [
        "",
        SIGNATURE[:-1],
        SIGNATURE[:-1] + "1",
        "я" * 64,
        hmac.new(TOKEN.encode(), USER_DATA.encode(), hashlib.sha256).hexdigest(),  # over the base64 text
        hmac.new(b"another-token", base64.b64decode(USER_DATA), hashlib.sha256).hexdigest(),
    ],
)
def test_any_other_signature_is_refused(signature: str) -> None:
    with pytest.raises(BadSignature):
        verify(user_data=USER_DATA, signature=signature, partner_token=TOKEN)


def test_changed_data_is_refused() -> None:
    changed = base64.b64encode(base64.b64decode(USER_DATA).replace(b"123", b"124")).decode()
    with pytest.raises(BadSignature):
        verify(user_data=changed, signature=SIGNATURE, partner_token=TOKEN)


@given(st.binary(max_size=300))
def test_every_way_of_writing_base64_is_read(data: bytes) -> None:
    standard = base64.b64encode(data).decode()
    urlsafe = base64.urlsafe_b64encode(data).decode()
    for text in (standard, urlsafe, standard.rstrip("="), urlsafe.rstrip("="), standard.replace("+", " ")):
        assert decode_base64(text) == data


@pytest.mark.parametrize("text", ["a", "!!!!", "Zm9v*", "x" * 9000, "Zm\x009v"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(BadUserData):
        decode_base64(text)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff\xfe", b"{", b"[" * 100_000])
def test_what_is_not_a_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(BadUserData):
        parse_user(data)


def test_every_field_may_be_missing_null_or_odd() -> None:
    odd = json.dumps(
        {"id": 7, "user_id": None, "name": None, "email": ["x"], "phone": True, "salon_name": "\x00A"}
    )
    assert parse_user(odd.encode()) == MarketplaceUser(id="7", salon_name="A")


@pytest.mark.parametrize("token", ["", " ", "test_token_waiting_for_real", "CHANGEME", "your-token"])
def test_placeholder_tokens_are_known(token: str) -> None:
    assert is_placeholder_token(token)
    assert not is_placeholder_token(TOKEN)
