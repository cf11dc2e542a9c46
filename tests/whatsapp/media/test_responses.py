"""A file in a browser: shown only when its own bytes are a picture, a sound or a film; never as a page."""

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from tests.whatsapp.media.received import JPEG, SVG, kept
from whatsapp.media.responses import file_response
from whatsapp.sessions import services

pytestmark = pytest.mark.django_db
HTML = b"<html><script>alert(1)</script></html>"


def answer(content: bytes, *, wanted: str = "", **about: str) -> HttpResponse:
    message = kept(services.create_session(), content, **about)
    headers = {"Range": wanted} if wanted else {}
    assert message.media is not None
    return file_response(RequestFactory().get("/", headers=headers), message.media)


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (JPEG, "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
        (b"OggS....", "audio/ogg"),
        (b"\x00\x00\x00\x20ftypM4A ....", "audio/mp4"),
        (b"\x00\x00\x00\x20ftypisom....", "video/mp4"),
    ],
)
def test_what_a_page_can_show_is_shown(content: bytes, mime: str) -> None:
    response = answer(content, mime="text/html")
    assert response["Content-Type"] == mime
    assert response["Content-Disposition"].startswith("inline")


@pytest.mark.parametrize("content", [SVG, HTML, b"%PDF-1.7", b"PK\x03\x04", b""])
@pytest.mark.parametrize("mime", ["image/svg+xml", "text/html", "image/jpeg"])
def test_anything_else_is_only_saved_whatever_its_sender_says(content: bytes, mime: str) -> None:
    response = answer(content, mime=mime)
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"].startswith("attachment")


def test_no_response_runs_anything() -> None:
    response = answer(JPEG)
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert response["Cache-Control"] == "private, no-store"


def test_a_name_cannot_leave_the_header_or_the_folder() -> None:
    response = answer(JPEG, name='../../a"\r\nSet-Cookie: x=1;.jpg')
    assert "\r" not in response["Content-Disposition"]
    assert response["Content-Disposition"] == "inline; filename*=UTF-8''_.._a___Set-Cookie%3A%20x%3D1%3B.jpg"


def test_a_file_without_a_name_gets_one() -> None:
    assert answer(JPEG)["Content-Disposition"].endswith(".jpg")


@pytest.mark.parametrize(
    ("wanted", "status", "part", "says"),
    [
        ("bytes=0-1", 206, b"01", "bytes 0-1/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=8-99999999999", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=5-2", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
    ],
)
def test_parts_of_a_file(wanted: str, status: int, part: bytes, says: str | None) -> None:
    response = answer(b"0123456789", wanted=wanted)
    assert (response.status_code, response.content) == (status, part)
    assert response.headers.get("Content-Range") == says
