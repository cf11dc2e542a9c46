"""Files of messages: what every engine promises, and what the download of the real one withstands."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from sandbox.whatsapp import SandboxWhatsApp
from tests.socks_proxy import SocksProxy
from whatsapp.engine.events import Incoming, MediaReference
from whatsapp.engine.media_download import MediaError, Route, download, fetch

from .engines import CLIENT, SALON, AnyHarness

SESSION = str(uuid.UUID(int=1))
PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 40
LIMIT = 1 << 20


@pytest.mark.parametrize("kind", ["image", "voice", "document"])
async def test_a_clients_file_is_described_and_downloaded(harness: AnyHarness, kind: str) -> None:
    await harness.linked(SESSION)
    await harness.write_file(SESSION, kind, PICTURE, mime="image/jpeg", name="me.jpg", caption="Like this")
    message = await harness.recorder.next(Incoming, SESSION)
    assert message.note == kind and message.media is not None
    assert (message.media["kind"], message.media["size"]) == (kind, len(PICTURE))
    assert await harness.engine.download(message.media, max_bytes=LIMIT, seconds=20) == PICTURE


async def test_a_picture_comes_with_its_caption_and_shows_no_key_when_it_is_logged(
    harness: AnyHarness,
) -> None:
    await harness.linked(SESSION)
    await harness.write_file(SESSION, "image", PICTURE, mime="image/jpeg", caption="Like this")
    message = await harness.recorder.next(Incoming, SESSION)
    assert message.text == "Like this" and message.media is not None
    assert message.media["key"] not in repr(message)


async def test_a_place_comes_with_its_coordinates(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.write_place(SESSION, 55.75, 37.61, "Home")
    message = await harness.recorder.next(Incoming, SESSION)
    assert message.location == {"latitude": 55.75, "longitude": 37.61, "name": "Home", "address": ""}


async def test_a_file_that_whatsapp_keeps_no_more_is_given_up(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.write_file(SESSION, "image", PICTURE, mime="image/jpeg")
    message = await harness.recorder.next(Incoming, SESSION)
    assert message.media is not None
    harness.lose_files()
    with pytest.raises(MediaError, match="gone") as failure:
        await harness.engine.download(message.media, max_bytes=LIMIT, seconds=20)
    assert failure.value.permanent


async def test_a_file_that_is_too_large_is_refused(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.write_file(SESSION, "document", PICTURE, mime="application/pdf", name="a.pdf")
    message = await harness.recorder.next(Incoming, SESSION)
    assert message.media is not None
    with pytest.raises(MediaError, match="too_large"):
        await harness.engine.download(message.media, max_bytes=len(PICTURE) - 1, seconds=20)


# --- the real download ------------------------------------------------------------------------------


def put(sandbox: SandboxWhatsApp, **changes: Any) -> MediaReference:
    """A file on the server and what a message says of it."""
    sandbox.create_phone(CLIENT)
    sandbox.create_phone(SALON)
    sent = sandbox.send_file(CLIENT, SALON, "image", PICTURE, mime="image/jpeg", claims=changes).attachment
    assert sent is not None
    reference: MediaReference = {**sent}  # type: ignore[typeddict-item]
    return reference


async def get(
    sandbox: SandboxWhatsApp, reference: MediaReference, *, max_bytes: int = LIMIT, seconds: float = 60
) -> bytes:
    route = Route(sandbox.proxy_url, sandbox.ca_file)
    return await download(reference, route, max_bytes=max_bytes, seconds=seconds)


async def test_a_file_comes_through_a_socks_proxy_that_looks_the_name_up(sandbox: SandboxWhatsApp) -> None:
    reference = put(sandbox)
    async with SocksProxy(sandbox.proxy_url, user="salon", password="pa55-w0rd") as proxy:
        route = Route(f"socks5://salon:pa55-w0rd@{proxy.host}", sandbox.ca_file)
        assert await download(reference, route, max_bytes=LIMIT, seconds=20) == PICTURE
        assert proxy.tunnels == 1
        with pytest.raises(MediaError, match="unreachable") as failure:
            await download(
                reference, Route(f"socks5://salon:wrong@{proxy.host}"), max_bytes=LIMIT, seconds=20
            )
    assert not failure.value.permanent
    assert "wrong" not in str(failure.value) and proxy.host not in str(failure.value)


@pytest.mark.parametrize(
    ("fault", "word", "permanent"),
    [
        ("unavailable", "unreachable", False),
        ("missing", "gone", True),
        ("redirect", "unreachable", False),
        ("corrupt", "wrong_hash", True),
        ("slow", "slow", False),
        ("endless", "too_large", True),
    ],
)
async def test_a_download_that_goes_wrong_ends_with_a_word(
    sandbox: SandboxWhatsApp, fault: str, word: str, permanent: bool
) -> None:
    reference = put(sandbox)
    sandbox.fault("media", fault=fault)
    with pytest.raises(MediaError, match=word) as failure:
        await get(sandbox, reference, seconds=0.5 if fault == "slow" else 20)
    assert failure.value.permanent == permanent
    assert await get(sandbox, reference) == PICTURE


async def test_a_file_that_is_larger_than_its_message_says_is_cut_off(sandbox: SandboxWhatsApp) -> None:
    reference = put(sandbox, size=10)
    with pytest.raises(MediaError, match="too_large"):
        await get(sandbox, reference, max_bytes=1000)


@pytest.mark.parametrize("field", ["sha256", "sealed_sha256", "key"])
async def test_a_file_that_does_not_match_its_message_is_refused(
    sandbox: SandboxWhatsApp, field: str
) -> None:
    other = "A" * 43 + "="
    with pytest.raises(MediaError, match="wrong_hash"):
        await get(sandbox, put(sandbox, **{field: other}))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "x",
        "@evil.example/x",
        "/../\r\nHost: x",
        "//a b",
        "https://evil.example/",
        "/x#y",
        "/" + "x" * 400,
    ],
)
def test_a_path_that_leads_elsewhere_is_not_asked_for(path: str) -> None:
    text = "A" * 43 + "="
    reference = MediaReference(
        kind="image", mime="", name="", size=1, path=path, key=text, sha256=text, sealed_sha256=text
    )
    with pytest.raises(MediaError, match="unreadable"):
        fetch(reference, Route("http://127.0.0.1:9"), max_bytes=LIMIT, seconds=1)
