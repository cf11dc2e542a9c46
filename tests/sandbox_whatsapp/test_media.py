"""Pictures, documents and places between the real client and phones, over the server's media host."""

import asyncio
import base64
import hashlib

import pytest
import requests

from sandbox.whatsapp import SandboxWhatsApp
from sandbox.whatsapp.media_server import HOST_NAME
from sandbox.whatsapp.refusal import Refused

from .clients import Client
from .conftest import ANNA, SALON

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


@pytest.mark.parametrize("kind", ["image", "voice", "audio", "video", "document"])
async def test_the_library_downloads_what_a_phone_sends(
    sandbox: SandboxWhatsApp, linked: Client, kind: str
) -> None:
    sandbox.create_phone(ANNA)
    sent = sandbox.send_file(ANNA, SALON, kind, PICTURE, mime="image/png", name="a.png", caption="Look")
    await linked.wait("message", id=sent.id)
    linked.do("download", id=sent.id)
    assert bytes.fromhex((await linked.wait("downloaded"))["data"]) == PICTURE


async def test_a_phone_opens_a_document_that_the_library_has_uploaded(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    linked.do("send_document", phone=ANNA, data=PICTURE.hex(), name="price.pdf", caption="Our prices")
    sent = await linked.wait("sent")
    message = next(m for m in sandbox.phone(ANNA)["inbox"] if m["id"] == sent["id"])
    assert (message["text"], message["attachment"]["name"]) == ("Our prices", "price.pdf")
    assert sandbox.file(ANNA, sent["id"])[1] == PICTURE
    linked.do("send", phone=ANNA, text="and words still go")
    await linked.wait("sent")


async def test_a_file_whose_bytes_were_changed_is_not_opened(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    linked.do("send_document", phone=ANNA, data=PICTURE.hex(), name="price.pdf", caption="")
    sent = await linked.wait("sent")
    for path in sandbox.hub.media.folder.iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(Refused, match="changed"):
        sandbox.file(ANNA, sent["id"])


async def test_a_place_arrives_at_the_companion_and_stays_on_the_phone(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    sandbox.create_phone(ANNA)
    sent = sandbox.send_place(ANNA, SALON, 55.75, 37.61, "Home")
    await linked.wait("message", id=sent.id)
    [shown] = sandbox.phone(SALON)["inbox"]
    assert (shown["attachment"]["latitude"], shown["attachment"]["name"]) == (55.75, "Home")


async def test_trouble_with_media_ends_after_the_asked_number_of_times(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    sandbox.create_phone(ANNA)
    sandbox.fault("media", fault="missing", times=1)
    sent = sandbox.send_file(ANNA, SALON, "image", PICTURE, mime="image/png")
    await linked.wait("message", id=sent.id)
    linked.do("download", id=sent.id)
    assert "404" in (await linked.wait("error"))["what"]
    linked.do("download", id=sent.id)
    assert bytes.fromhex((await linked.wait("downloaded"))["data"]) == PICTURE


async def upload(sandbox: SandboxWhatsApp, data: bytes, *, token: str, auth: str | None = None) -> int:
    """Post a file to the media host through the proxy, as companions do; the answer's status."""
    query = {"auth": sandbox.hub.media_token if auth is None else auth, "token": token}
    response = await asyncio.to_thread(
        requests.post,
        f"https://{HOST_NAME}/mms/document/{token}",
        params=query,
        data=data,
        proxies={"https": sandbox.proxy_url},
        verify=sandbox.ca_file,
        timeout=20,
    )
    return response.status_code


def token_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()


async def test_an_upload_needs_its_token_and_its_own_hash(sandbox: SandboxWhatsApp) -> None:
    right = token_of(PICTURE)
    assert await upload(sandbox, PICTURE, token=right, auth="") == 401
    assert await upload(sandbox, PICTURE, token=right, auth="another") == 401
    assert await upload(sandbox, PICTURE + b"more", token=right) == 400
    assert list(sandbox.hub.media.folder.iterdir()) == []
    assert await upload(sandbox, PICTURE, token=right) == 200
