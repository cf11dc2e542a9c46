"""The control API over HTTP, the page, and the server as a process of its own."""

import asyncio
import io
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import segno

from sandbox.whatsapp import SandboxWhatsApp
from tests.browser import ARGUMENTS, find_browser

from .clients import Client, until
from .conftest import ANNA, SALON, Opened

ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture
async def http(sandbox: SandboxWhatsApp) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.control_url) as session:
        yield session


async def post(http: aiohttp.ClientSession, path: str, body: Any) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body)
    async with http.post(path, data=data) as response:
        return response.status, await response.json()


async def get(http: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    async with http.get(path) as response:
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer


async def test_settings_name_what_the_product_reads(
    sandbox: SandboxWhatsApp, http: aiohttp.ClientSession
) -> None:
    settings = await get(http, "/settings")
    assert settings["WHATSAPP_PROXY_URL"].startswith("http://127.0.0.1:")
    authority = await asyncio.to_thread(Path(settings["WHATSAPP_CA_FILE"]).read_text)
    assert authority.startswith("-----BEGIN CERTIFICATE")
    assert len(bytes.fromhex(settings["WHATSAPP_NOISE_ROOT"])) == 32
    assert settings["ws_url"] == sandbox.ws_url


async def test_a_phone_is_made_and_found(http: aiohttp.ClientSession) -> None:
    status, phone = await post(
        http, "/phones", {"phone": "+7 999 000-00-05", "name": "Вера", "auto_read": True}
    )
    assert (status, phone["phone"], phone["auto_read"]) == (201, "79990000005", True)
    assert (await get(http, "/phones/79990000005"))["name"] == "Вера"
    assert "79990000005" in [item["phone"] for item in (await get(http, "/phones"))["phones"]]


async def test_a_picture_of_the_code_links_the_device(
    sandbox: SandboxWhatsApp, http: aiohttp.ClientSession, open_client: Opened
) -> None:
    client = await open_client("new.db")
    picture = io.BytesIO()
    segno.make((await client.wait("qr"))["qr"]).save(picture, kind="png", scale=3)
    assert await post(http, f"/phones/{SALON}/scan-image", picture.getvalue()) == (
        200,
        {"device": 1, "platform": "Neonize"},
    )
    await client.wait("connected")


async def test_a_code_is_entered_and_messages_go_both_ways(
    sandbox: SandboxWhatsApp, http: aiohttp.ClientSession, linked: Client
) -> None:
    await post(http, "/phones", {"phone": ANNA, "name": "Анна"})
    status, _ = await post(http, f"/phones/{ANNA}/send", {"to": SALON, "text": "Можно завтра?"})
    assert status == 201
    assert (await linked.wait("message"))["text"] == "Можно завтра?"
    linked.do("send", phone=ANNA, text="Да")
    await linked.wait("sent")
    await until(sandbox, "received", phone=ANNA)
    assert await post(http, f"/phones/{ANNA}/read", {"chat": SALON}) == (200, {"read": 1})
    [chat] = (await get(http, f"/phones/{ANNA}"))["chats"]
    assert (chat["name"], chat["last_text"], chat["unread"]) == ("Salon", "Да", 0)
    assert await post(http, f"/phones/{SALON}/remove-devices", {}) == (200, {"removed": 1})
    await linked.wait("logged_out")


async def test_the_journal_is_read_from_a_number_on(
    sandbox: SandboxWhatsApp, http: aiohttp.ClientSession, linked: Client
) -> None:
    events = (await get(http, "/journal"))["events"]
    assert [event["kind"] for event in events[:3]] == ["connect", "handshake", "login"]
    last = events[-1]["seq"]
    await post(http, "/faults", {"kind": "drop", "phone": SALON})
    later = (await get(http, f"/journal?since={last}"))["events"]
    assert later[0]["seq"] == last + 1
    assert (await get(http, "/state"))["totals"]["login"] >= 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/phones", {"phone": "hello"}, 400),
        ("/phones", {}, 400),
        ("/phones", {"phone": "79990000003", "auto_read": "yes"}, 400),
        ("/phones", b"not json", 400),
        ("/phones", [1], 400),
        ("/phones/79990000077/scan", {"qr": "x,y,z,w"}, 404),
        (f"/phones/{SALON}/scan", {}, 400),
        (f"/phones/{SALON}/scan", {"qr": "2@gone,AAAA,AAAA,AAAA"}, 410),
        (f"/phones/{SALON}/scan-image", b"no picture", 400),
        (f"/phones/{SALON}/enter-code", {"code": "1234-5678"}, 404),
        (f"/phones/{SALON}/send", {"to": "1", "text": "hi"}, 400),
        (f"/phones/{SALON}/send", {"to": ANNA, "text": " "}, 400),
        (f"/phones/{SALON}/online", {"online": "maybe"}, 400),
        (f"/phones/{SALON}/remove-devices", {"device": "all"}, 400),
        ("/faults", {"kind": "earthquake"}, 400),
        ("/nowhere", {}, 404),
    ],
)
async def test_a_wrong_request_gets_a_sentence(
    http: aiohttp.ClientSession, path: str, body: Any, status: int
) -> None:
    got, answer = await post(http, path, body)
    assert got == status
    assert len(answer["error"]) > 5


async def test_a_picture_without_a_code_is_refused(http: aiohttp.ClientSession) -> None:
    from PIL import Image

    picture = io.BytesIO()
    Image.new("L", (50, 50), 255).save(picture, "PNG")
    assert (await post(http, f"/phones/{SALON}/scan-image", picture.getvalue()))[0] == 422


@pytest.mark.parametrize(
    ("kind", "mime", "served", "placed"),
    [
        ("image", "image/png", "image/png", "inline"),
        ("document", "text/html", "application/octet-stream", "attachment"),
        ("document", "a/b\r\nSet-Cookie: x", "application/octet-stream", "attachment"),
    ],
)
async def test_a_file_is_served_as_what_cannot_run(
    sandbox: SandboxWhatsApp, http: aiohttp.ClientSession, kind: str, mime: str, served: str, placed: str
) -> None:
    sandbox.create_phone(ANNA)
    sent = sandbox.send_file(ANNA, SALON, kind, b"<script>", mime=mime)
    async with http.get(f"/phones/{SALON}/files/{sent.id}") as response:
        assert await response.read() == b"<script>"
        headers = response.headers
    assert (headers["Content-Type"], headers["Content-Disposition"]) == (served, placed)
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_loads_nothing_from_elsewhere(http: aiohttp.ClientSession) -> None:
    async with http.get("/") as response:
        page = await response.text()
    assert response.headers["Content-Type"].startswith("text/html")
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.browser
async def test_a_person_links_and_unlinks_a_device_on_the_page(
    sandbox: SandboxWhatsApp, open_client: Opened, tmp_path: Path
) -> None:
    from playwright.async_api import async_playwright, expect

    client = await open_client("new.db")
    picture = tmp_path / "code.png"
    segno.make((await client.wait("qr"))["qr"]).save(str(picture), scale=4)
    browser_path = await asyncio.to_thread(find_browser)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 390, "height": 800})
        await page.goto(sandbox.control_url)
        await page.get_by_role("link", name="Salon").click()
        await page.get_by_label("Код привязки").fill("1234-5678")
        await page.get_by_role("button", name="Ввести код").click()
        await expect(page.get_by_role("status")).to_contain_text("не ждёт код")
        await page.get_by_label("Снимок экрана").set_input_files(picture)
        await page.get_by_role("button", name="Отсканировать код со снимка").click()
        await expect(page.get_by_role("status")).to_contain_text("Устройство привязано")
        await client.wait("connected")
        client.do("send", phone=ANNA, text="Привет 👋")
        await expect(page.locator(".bubble.out")).to_contain_text("Привет 👋")
        await page.get_by_role("button", name="Отвязать").click()
        await client.wait("logged_out")
        await expect(page.get_by_text("Ничего не привязано")).to_be_visible()
        await browser.close()


@pytest.mark.browser
async def test_the_page_shows_a_picture_and_offers_a_document(sandbox: SandboxWhatsApp) -> None:
    from PIL import Image
    from playwright.async_api import async_playwright, expect

    picture = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(picture, "PNG")
    sandbox.create_phone(ANNA)
    sandbox.send_file(SALON, ANNA, "image", picture.getvalue(), mime="image/png", caption="Как вам?")
    sandbox.send_file(SALON, ANNA, "document", b"%PDF", mime="application/pdf", name="<b>Цены.pdf")
    browser_path = await asyncio.to_thread(find_browser)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 390, "height": 800})
        await page.goto(f"{sandbox.control_url}/#{ANNA}")
        shown = page.locator(".bubble img")
        await expect(shown).to_have_js_property("naturalWidth", 40)
        await expect(page.locator(".bubble").first).to_contain_text("Как вам?")
        async with page.expect_download() as saving:
            await page.get_by_role("link", name="<b>Цены.pdf").click()
        assert await asyncio.to_thread(Path(await (await saving.value).path()).read_bytes) == b"%PDF"
        await browser.close()


async def run_server(folder: Path) -> tuple[asyncio.subprocess.Process, dict[str, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.whatsapp", "--state-dir", str(folder), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    return process, json.loads(await asyncio.wait_for(process.stdout.readline(), 60))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_its_settings_and_stops_on_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    process, settings = await run_server(tmp_path)
    async with aiohttp.request("GET", settings["control_url"] + "/settings") as response:
        assert await response.json() == settings
    process.send_signal(number)
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, errors) == (0, b"")


async def test_links_messages_and_keys_survive_a_kill(linked_folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(linked_folder, tmp_path, dirs_exist_ok=True)
    process, first = await run_server(tmp_path / "server")
    async with aiohttp.ClientSession() as session:
        for path, body in (
            ("phones", {"phone": ANNA}),
            (f"phones/{ANNA}/send", {"to": SALON, "text": "early"}),
        ):
            async with session.post(f"{first['control_url']}/{path}", json=body) as response:
                assert response.status == 201
    process.kill()
    await process.wait()
    sandbox = SandboxWhatsApp(state_dir=tmp_path / "server")
    await sandbox.start()
    client = Client(tmp_path / "client.db")
    try:
        assert sandbox.noise_root == first["WHATSAPP_NOISE_ROOT"]
        await client.start(sandbox)
        await client.wait("connected", phone=SALON)
        assert (await client.wait("message"))["text"] == "early"
        client.do("send", phone=ANNA, text="late")
        await client.wait("sent")
        await until(sandbox, "received", phone=ANNA)
        assert [message["text"] for message in sandbox.phone(ANNA)["inbox"]] == ["early", "late"]
    finally:
        await client.kill()
        await sandbox.stop()


async def test_the_server_carries_no_go_library() -> None:
    script = (
        "import sys, sandbox.whatsapp\n"
        "print([name for name in ('neonize', 'pyaileys', 'django') if name in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.strip() == b"[]"
