"""The application in front of Django's handler, asked as an ASGI server asks."""

import asyncio
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import resolve

from config import ingest
from config.asgi import application
from config.ingest import Ingest, route
from marketplace.models import InboundWebhook
from marketplace.webhooks import verification
from tests.environment import APPLICATION_ID, PARTNER_TOKEN
from tests.ingest_client import ask, scope_of

pytestmark = pytest.mark.django_db(transaction=True)
WEBHOOK, OPERATOR = "/webhook/yclients", "/yclients/messages/"
BODY = {
    "salon_id": 501,
    "application_id": APPLICATION_ID,
    "event": "probe",
    "partner_token": PARTNER_TOKEN,
}


async def test_a_webhook_in_chunks_without_a_length_is_stored_and_answered() -> None:
    text = json.dumps(BODY).encode()
    assert (await ask(WEBHOOK, text[:20], text[20:])).status_code == 200
    assert await InboundWebhook.objects.acount() == 1


async def test_a_repeat_is_answered_and_stored_once() -> None:
    text = json.dumps(BODY).encode()
    assert [(await ask(WEBHOOK, text)).json()["status"] for _ in range(2)] == ["stored", "repeat"]
    assert await InboundWebhook.objects.acount() == 1


async def test_a_forged_token_is_refused() -> None:
    reply = await ask(WEBHOOK, json.dumps({**BODY, "partner_token": "forged"}).encode())
    assert reply.status_code == 403
    assert not await InboundWebhook.objects.aexists()


@pytest.mark.parametrize("path", ["/webhook/yclients/a/b", "/webhook/yclients-other", "/yclients/messages/x"])
async def test_an_unknown_address_is_not_found(path: str) -> None:
    assert (await ask(path, b"{}")).status_code == 404


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [(WEBHOOK, 1024 * 1024 + 1, 413), (OPERATOR, 4 * 1024 * 1024 + 1, 413), (WEBHOOK, 10, 400)],
)
async def test_a_body_that_cannot_be_taken(path: str, size: int, status: int) -> None:
    assert (await ask(path, b"x" * size)).status_code == status


async def test_a_body_whose_length_is_too_large_is_refused_unread() -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("the body is read")

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope_of(WEBHOOK, "POST", {"Content-Length": "200000000"}), receive, send)
    assert sent[0]["status"] == 413


async def test_a_body_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BODY_SECONDS", 0.05)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope_of(WEBHOOK, "POST", {}), receive, send)
    assert sent[0]["status"] == 408


async def test_an_unexpected_error_is_500_names_nothing_and_leaves_the_others_of_its_batch_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(body: dict[str, Any]) -> bool:
        if body["event"] == "broken":
            raise RuntimeError("secret detail")
        return has_our_token(body)

    has_our_token = verification._has_our_token
    monkeypatch.setattr(verification, "_has_our_token", fail)
    names = [f"probe{number}" for number in range(20)] + ["broken"]
    bodies = [json.dumps({**BODY, "event": name}).encode() for name in names]
    replies = await asyncio.gather(*(ask(WEBHOOK, body) for body in bodies))
    assert [reply.status_code for reply in replies] == [200] * 20 + [500]
    assert b"secret detail" not in replies[-1].content
    assert await InboundWebhook.objects.acount() == 20


async def test_a_client_that_leaves_before_the_end_is_let_go() -> None:
    reply = await ask(WEBHOOK, b"{", leaves=True)
    assert (reply.status_code, reply.content) == (0, b"")


async def test_other_addresses_are_djangos() -> None:
    passed: list[str] = []

    async def django(scope: dict[str, Any], _receive: Any, send: Any) -> None:
        passed.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    await ask("/marketplace/health", application=Ingest(django))
    assert passed == ["/marketplace/health"]


async def test_alone_it_knows_no_other_address() -> None:
    reply = await ask("/marketplace/health", method="GET", application=ingest.application)
    assert (reply.status_code, reply.json()["success"]) == (404, False)


async def test_alone_it_follows_its_server_s_start_and_stop() -> None:
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    await ingest.application({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("path", [WEBHOOK, f"{WEBHOOK}/secret", OPERATOR, OPERATOR.rstrip("/")])
def test_djangos_urls_lead_to_the_same_endpoints(path: str) -> None:
    match = resolve(path)
    assert route(path) == (match.func.endpoint, match.kwargs.get("secret", ""))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        (WEBHOOK, "POST", json.dumps(BODY).encode()),
        (WEBHOOK, "POST", json.dumps({**BODY, "partner_token": "forged"}).encode()),
        (f"{WEBHOOK}/unknown", "POST", b'{"resource": "record", "company_id": 1}'),
        (WEBHOOK, "POST", b"no json"),
        (WEBHOOK, "POST", b"x" * (1024 * 1024 + 1)),
        (WEBHOOK, "GET", b""),
        (WEBHOOK, "PUT", b"{}"),
        (OPERATOR, "POST", b"{}"),
        (OPERATOR, "GET", b""),
    ],
)
def test_djangos_view_answers_the_same_byte_for_byte(path: str, method: str, body: bytes) -> None:
    ours = asyncio.run(ask(path, body, method=method))
    InboundWebhook.objects.all().delete()
    view = Client().generic(method, path, body, content_type="application/json")
    assert (ours.status_code, ours.content) == (view.status_code, view.content)
    assert ours.headers["content-type"] == view["Content-Type"]
    assert ours.headers.get("allow") == view.get("Allow")
