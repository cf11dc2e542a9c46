"""The webhook and operator addresses in front of Django's handler, asked as an ASGI server asks."""

import json
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from config.asgi import application
from config.ingest import LARGEST_BODY, HotDoors
from marketplace.models import InboundWebhook
from marketplace.webhooks import intake
from tests.environment import APPLICATION_ID, PARTNER_TOKEN

Communicator: Any = ApplicationCommunicator  # ships no types
pytestmark = pytest.mark.django_db(transaction=True)
BODY = {
    "salon_id": 501,
    "application_id": APPLICATION_ID,
    "event": "probe",
    "partner_token": PARTNER_TOKEN,
}


async def ask(
    *chunks: bytes, path: str = "/webhook/yclients", method: str = "POST", app: Any = application
) -> tuple[int, dict[str, Any]]:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
    }
    asked = Communicator(app, scope)
    for number, chunk in enumerate(chunks, 1):
        await asked.send_input({"type": "http.request", "body": chunk, "more_body": number < len(chunks)})
    start = await asked.receive_output(10)
    body = await asked.receive_output(10)
    await asked.wait()
    return start["status"], json.loads(body["body"])


async def test_a_webhook_in_chunks_without_a_length_is_kept_and_answered() -> None:
    text = json.dumps(BODY).encode()
    assert (await ask(text[:20], text[20:]))[0] == 200
    assert await InboundWebhook.objects.acount() == 1


async def test_a_repeat_is_answered_the_same() -> None:
    text = json.dumps(BODY).encode()
    for _ in range(2):
        assert (await ask(text))[0] == 200
    assert await InboundWebhook.objects.acount() == 1


async def test_a_probe_by_get_is_answered() -> None:
    assert await ask(b"", method="GET") == (200, {"success": True})


async def test_a_forged_token_is_refused() -> None:
    status, _ = await ask(json.dumps({**BODY, "partner_token": "forged"}).encode())
    assert status == 403
    assert not await InboundWebhook.objects.aexists()


@pytest.mark.parametrize("path", ["/webhook/yclients/a/b", "/webhook/yclients-other", "/yclients/messages/x"])
async def test_an_unknown_address_is_told_so(path: str) -> None:
    assert (await ask(b"{}", path=path))[0] == 404


@pytest.mark.parametrize(("size", "status"), [(1024 * 1024 + 1, 413), (LARGEST_BODY + 1, 413), (10, 400)])
async def test_a_body_that_cannot_be_taken(size: int, status: int) -> None:
    assert (await ask(b"x" * size))[0] == status


async def test_a_defect_is_500_and_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(intake, "receive_all", fail)
    status, body = await ask(json.dumps(BODY).encode())
    assert status == 500
    assert "secret detail" not in str(body)


async def test_a_client_that_leaves_before_the_end_is_let_go() -> None:
    scope = {"type": "http", "method": "POST", "path": "/webhook/yclients", "headers": []}
    asked = Communicator(application, scope)
    await asked.send_input({"type": "http.request", "body": b"{", "more_body": True})
    await asked.send_input({"type": "http.disconnect"})
    await asked.wait()
    assert await asked.receive_nothing()


async def test_other_addresses_are_djangos() -> None:
    passed: list[str] = []

    async def django(scope: dict[str, Any], _receive: Any, send: Any) -> None:
        passed.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    await ask(b"", path="/marketplace/health", app=HotDoors(django))
    assert passed == ["/marketplace/health"]
