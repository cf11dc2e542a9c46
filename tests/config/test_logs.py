"""Nothing secret reaches a log line, whoever wrote it; what is not secret stays readable."""

import json
import os
import re
import string
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from config.shared.logs import mask_event
from config.shared.masking import (
    MOST_MASKED,
    hide_values,
    mask_data,
    mask_excerpt,
    mask_phone,
    mask_text,
    mask_traceback,
    mask_value,
)
from tests.forked_processes import run_forked

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJjb21wYW55X2lkIjoxfQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
API_KEY = "3f9a" * 16
FERNET_KEY = "dGVzdC1rZXktb2YtdGhlLXRlc3QtZmllbGRzLTAxMjM="
USER_DATA = "eyJ1c2VyX2lkIjoxMjMsIm5hbWUiOiLQkNC90LTRgNC10Lkg0JjQstCw0L3QvtCyIn0="

PHONES = [
    "79990001122", "+79990001122", "+7 999 000-11-22", "+7 (999) 000-11-22", "8 (999) 000 11 22",
    "8-999-000-11-22", "89990001122", "8(999)0001122", "7 999 000 11 22", "999 000-11-22", "(999) 000-11-22",
    "9990001122", "+7.999.000.11.22", "+7\u00a0999\u00a0000\u201111\u201122", "+380 44 123 45 67",
    "+49 1512 3456789", "+1 (415) 555-2671", "14155552671", "+998901234567", "375291234567",
]  # fmt: skip
AROUND = [
    "{}",
    "phone {}",
    "phone={}",
    "phone:{}",
    '{{"phone": "{}"}}',
    "({})",
    "{}, then",
    "tel:{}.",
    "<{}>",
]


@pytest.mark.parametrize("phone", PHONES)
@pytest.mark.parametrize("around", AROUND)
def test_phones_are_masked_in_every_form(phone: str, around: str) -> None:
    said = mask_text(around.format(phone))
    assert phone not in said
    assert re.sub(r"\D", "", said) != re.sub(r"\D", "", phone)
    assert "***" in said


@pytest.mark.parametrize(
    "text",
    [
        "79990001122@s.whatsapp.net",
        "79990001122:3@s.whatsapp.net",
        "79990001122.0:3@s.whatsapp.net",
        "123456789012345@lid",
        "79990001122@c.us",
    ],
)
def test_the_phone_in_a_whatsapp_address_is_masked(text: str) -> None:
    assert re.search(r"\d{8}", mask_text(f"stream of {text} ended")) is None


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"token={JWT}", JWT),
        (f"refused {JWT} at once", JWT),
        (f"jwt.{JWT}", JWT),
        (f"/marketplace/onboarding?token={JWT}", JWT),
        ("Authorization: Bearer 2t6u73mrh85btb8wgyfj", "2t6u73mrh85btb8wgyfj"),
        ("{'Authorization': 'Bearer 2t6u73mrh85btb8wgyfj, User 99'}", "2t6u73mrh85btb8wgyfj"),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ('{"partner_token": "2t6u73mrh85btb8wgyfj"}', "2t6u73mrh85btb8wgyfj"),
        ('"{\\"partner_token\\": \\"2t6u73mrh85btb8wgyfj\\"}"', "2t6u73mrh85btb8wgyfj"),
        ("{'partner_token': b'2t6u73mrh85btb8wgyfj'}", "2t6u73mrh85btb8wgyfj"),
        ("access_token=abcdef123", "abcdef123"),
        ("X-Health-Token: abcdef123", "abcdef123"),
        ("password='with, comma and space'", "comma"),
        ("webhook_secret: s3cret-path", "s3cret-path"),
        ("api-key=abc", "abc"),
        (f"user_data={USER_DATA}&user_data_sign=4c4e46", USER_DATA),
        (f"user_data={USER_DATA}&user_data_sign=4c4e46", "4c4e46"),
        (f"stored {API_KEY} for the salon", API_KEY),
        (f"https://x/?key={API_KEY}", API_KEY),
        (f"keys: {FERNET_KEY}", FERNET_KEY),
        (f"FIELD_ENCRYPTION_KEYS={FERNET_KEY},{FERNET_KEY}", FERNET_KEY),
        (f"row {Fernet(FERNET_KEY).encrypt(b'x').decode()}", "gAAAA"),
        ("POST /webhook/yclients/AbCdEf_123-456 500", "AbCdEf_123-456"),
        ("POST /webhook/yclients//AbCdEf_123-456 404", "AbCdEf_123-456"),
        ("POST /Webhook/YClients/~AbCdEf_123-456/ 404", "AbCdEf_123-456"),
        ("https://wa.me/settings/linked_devices#2@abc/def+g,key=,id=,adv=", "abc/def"),
        ("QR 2@W9kq0aTzQk3bX1lVn8Yp,Zm9vYmFyYmF6,aWRlbnRpdHk=,YWR2 shown", "W9kq0aTzQk3bX1lVn8Yp"),
        ("pairing code ABCD-1234", "ABCD-1234"),
        ("pairing_code=ABCD1234", "ABCD1234"),
        ("postgres://user:pa55word@db:5432/x", "pa55word"),
        ("postgres://user:p@55word@db:5432/x", "55word"),
        ("redis://:pa55word@redis:6379/0", "pa55word"),
        ("could not connect: host=db password=pa55word dbname=x", "pa55word"),
        ("Cookie: sessionid=abcdef123; csrftoken=xyz789", "abcdef123"),
        ("Cookie: sessionid=abcdef123; csrftoken=xyz789", "xyz789"),
    ],
)
def test_secrets_are_hidden(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23 09:14:01", "2026-11-23T09:14:01.123456+00:00", "2026-11-23 12", "23.11.2026 09:14",
        "20261123", "123e4567-e89b-12d3-a456-426614174000", "12345678-1234-4234-8234-123456789012",
        "request 9f86d081884c", "a3f5c2e1b4d6978800112233445566778899aabb", "1763889241", "at 1763889241.123",
        "1763889241123 ms", "took 0.1234567890123 s", "WhatsApp 2.3000.1025190524", "127.0.0.1:54321",
        "[::1]:8000", "salon 123456", "record 987654321", "pool-1:4711:ab12", "1 2 3 4 5 6 7 8 9 10 11",
        "100 200 300 400", "lease_token=12", "token: None", "status 200 in 12.5 ms",
        "GET /admin/whatsapp/session/",
        "https://api.yclients.com/marketplace/salon/123/application/456", "13:37:00 14:00:00",
        "redis://redis:6379/0", "postgres://db:5432/x", "sqlite:////data/db.sqlite3", "12 of 500 sessions",
        "me@example.com", "the token has expired", "code 1006", "page 1, 2, 3",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert mask_text(text) == text


@given(st.uuids())
def test_no_uuid_is_mangled(value: uuid.UUID) -> None:
    assert mask_text(f"session {value} ended") == f"session {value} ended"


@given(st.datetimes(datetime(2018, 1, 1), datetime(2032, 1, 1)))
def test_no_time_is_mangled(value: datetime) -> None:
    at = value.replace(tzinfo=UTC)
    for text in (
        at.isoformat(),
        str(at),
        str(int(at.timestamp())),
        f"{at.timestamp():.3f}",
        f"{at:%d.%m.%Y %H:%M}",
    ):
        assert mask_text(f"at {text}") == f"at {text}"


@given(st.text(alphabet="0123456789abcdef", min_size=12, max_size=40).filter(lambda text: not text.isdigit()))
def test_no_hex_id_is_mangled(value: str) -> None:
    assert mask_text(f"id {value}") == f"id {value}"


@given(st.from_regex(r"\A[2-9][0-9]{9,14}\Z"), st.sampled_from(AROUND))
def test_digits_of_a_phone_never_survive(phone: str, around: str) -> None:
    assert phone not in mask_text(around.format(phone))


@given(
    st.text(alphabet=string.ascii_letters + string.digits + "-_", min_size=6, max_size=60),
    st.sampled_from(["token=", "'api_key': '", '"partner_token":"', "Bearer ", "Authorization: Bearer "]),
)
def test_a_named_secret_never_survives(secret: str, name: str) -> None:
    # "token" within the word "token=" is no leak.
    said = mask_text(f"{name}{secret} ")
    assert secret not in said.replace(name, "").replace("[hidden]", "").replace("[key]", "")


@given(st.text(max_size=300))
def test_masking_takes_any_text_and_is_stable(text: str) -> None:
    once = mask_text(text)
    assert mask_text(once) == once


@pytest.mark.parametrize("around", ["{}", "word " * 20_000 + "{}", "a" * 16_200 + " {}", "a" * 16_380 + "{}"])
def test_no_half_of_a_secret_is_left_where_a_long_text_is_cut(around: str) -> None:
    said = mask_text(around.format(API_KEY) + " more" * 20_000)
    assert len(said) <= MOST_MASKED
    assert said.endswith("[cut]")
    assert API_KEY[:8] not in said


def test_an_excerpt_of_a_text_full_of_secrets_shows_none() -> None:
    assert API_KEY[:8] not in mask_excerpt(f"{API_KEY} " * 200, 80)
    assert mask_excerpt("short", 80) == "short"
    assert mask_excerpt("one two three", 8) == "one two…"


def test_the_end_of_a_long_traceback_is_kept_without_secrets() -> None:
    try:
        raise ValueError("\n".join(["token=secret-of-a-salon"] * 5_000 + ["the end"]))
    except ValueError as error:
        said = mask_traceback(error, most=20_000)
    assert said.endswith("the end\n")
    assert "secret-of-a-salon" not in said


def test_data_for_a_page_hides_secrets_and_shows_phones_on_demand_only() -> None:
    data = {"partner_token": "x", "phone": "+79990001122", "text": "tel 79990001122", "ok": True}
    assert mask_data(data, phones=True) == {**data, "partner_token": "[hidden]"}
    shown = mask_data(data, phones=False)
    assert shown == {
        "partner_token": "[hidden]",
        "phone": "+7999*****22",
        "text": "tel 7999*****22",
        "ok": True,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [("api_key", "x"), ("partner_token", "x"), ("qr", "2@x"), ("pairing_code", "ABCD1234"),
     ("text", "Dear Anna"),
     ("jwt", "x"), ("password", "x"), ("token", 12345), ("user_data", {"phone": 1}), ("cookie", ["a"]),
     ("FIELD_ENCRYPTION_KEYS", ["k"]), ("SENTRY_DSN", "https://k@s/1")],
)  # fmt: skip
def test_values_with_a_secret_name_are_hidden(name: str, value: Any) -> None:
    assert mask_value(name, value) == "[hidden]"


@pytest.mark.parametrize(
    ("name", "value"),
    [("error_code", 10), ("status_code", 200), ("lease_token", 7), ("attempts", 3), ("ms", 1.5), ("ok", True),
     ("qr", None), ("token", ""), ("salon_id", 7999000112233)],
)  # fmt: skip
def test_other_values_stay(name: str, value: Any) -> None:
    assert mask_value(name, value) == value


def test_values_are_masked_however_deep_they_lie() -> None:
    said = mask_value("data", {"79990001122": [{"phones": [79990001122], "note": ("tel 79990001122",)}]})
    assert "79990001122" not in json.dumps(said)
    assert said["7999*****22"][0]["phones"] == ["7999*****22"]


def test_a_masked_phone_tells_salons_apart_but_cannot_be_called() -> None:
    assert mask_phone("+7 (999) 000-11-22") == "+7999*****22"
    assert mask_phone("12345") == "12345"


def test_the_process_s_own_secrets_are_hidden_under_any_name() -> None:
    hide_values(["an-odd-secret-value", "short"])
    try:
        assert mask_text("GET /odd/an-odd-secret-value/x short") == "GET /odd/[hidden]/x short"
    finally:
        hide_values([])


def lines_of(code: str) -> list[dict[str, Any]]:
    """What a process with the production's logging writes to stderr while it runs `code`."""
    start = (
        "import logging, structlog\n"
        "from config.shared.logs import logging_settings\n"
        "logging_settings('INFO', pretty=False, secrets=['the-partner-token-itself'])\n"
        "ours, theirs = structlog.get_logger('ours'), logging.getLogger('theirs')\n"
    )
    command = [sys.executable, "-c", start + code]
    done = run_forked(command, environment=os.environ)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_lines_of_other_libraries_are_masked_too() -> None:
    (line,) = lines_of("theirs.warning('to %s by %s', '79990001122', 'the-partner-token-itself')")
    assert line["event"] == "to 7999*****22 by [hidden]"
    assert (line["logger"], line["level"]) == ("theirs", "warning")


def test_tracebacks_are_masked() -> None:
    code = (
        "try: raise ValueError('phone ' + str(79990001122) + ' key ' + '3f9a' * 16)\n"
        "except ValueError:\n    ours.exception('failed'); theirs.exception('failed')"
    )
    lines = lines_of(code)
    assert len(lines) == 2
    for line in lines:
        assert "ValueError: phone 7999*****22 key [key]" in line["exception"]


def test_bound_values_are_masked_and_session_ids_are_not() -> None:
    session = str(uuid.uuid4())
    (line,) = lines_of(f"ours.info('x', session='{session}', phone='79990001122', qr='2@abc', salon_id=101)")
    said = (line["session"], line["phone"], line["qr"], line["salon_id"])
    assert said == (session, "7999*****22", "[hidden]", 101)


def test_the_names_of_a_line_are_kept() -> None:
    event = {"event": "x", "timestamp": "2026-11-23T09:14:01Z", "request_id": "123456789012", "level": "info"}
    assert mask_event(None, "", dict(event)) == event
