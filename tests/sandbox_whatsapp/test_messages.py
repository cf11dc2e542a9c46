"""Messages between the real client and phones, and their receipts."""

import asyncio
from typing import Any

import pytest

from sandbox.whatsapp import SandboxWhatsApp

from .clients import Client, until
from .conftest import ANNA, SALON

DELIVERED, READ = 1, 4


def incoming(sandbox: SandboxWhatsApp, phone: str) -> list[dict[str, Any]]:
    return [message for message in sandbox.phone(phone)["inbox"] if not message["outgoing"]]


@pytest.mark.parametrize(
    "text", ["Hello", "Здравствуйте, Анна! Ждём вас завтра в 12:10.", "Ура 👋🏽🎉", "a\nb " * 300]
)
async def test_a_text_arrives_exactly_as_it_was_sent(
    sandbox: SandboxWhatsApp, linked: Client, text: str
) -> None:
    linked.do("send", phone=ANNA, text=text)
    sent = await linked.wait("sent")
    await linked.wait("receipt", ids=[sent["id"]], type=DELIVERED)
    assert [(m["id"], m["sender"], m["text"]) for m in incoming(sandbox, ANNA)] == [(sent["id"], SALON, text)]


async def test_the_salons_own_phone_shows_what_its_companion_sent(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    linked.do("send", phone=ANNA, text="copy")
    await linked.wait("sent")
    await until(sandbox, "received", phone=SALON, chat=ANNA)
    [copy] = sandbox.phone(SALON)["inbox"]
    assert (copy["chat"], copy["text"], copy["outgoing"]) == (ANNA, "copy", True)


async def test_reading_on_the_phone_gives_a_read_receipt_once(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    linked.do("send", phone=ANNA, text="read me")
    sent = await linked.wait("sent")
    await until(sandbox, "received", phone=ANNA)
    assert sandbox.read(ANNA, SALON) == 1
    await linked.wait("receipt", ids=[sent["id"]], type=READ)
    assert sandbox.read(ANNA) == 0


async def test_a_phone_with_auto_read_reads_at_once(sandbox: SandboxWhatsApp, linked: Client) -> None:
    sandbox.create_phone(ANNA, auto_read=True)
    linked.do("send", phone=ANNA, text="hi")
    sent = await linked.wait("sent")
    await linked.wait("receipt", ids=[sent["id"]], type=READ)


async def test_a_phone_that_is_offline_gets_its_messages_in_order_when_it_is_back(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    sandbox.create_phone(ANNA)
    sandbox.set_online(ANNA, False)
    for number in range(3):
        linked.do("send", phone=ANNA, text=f"message {number}")
        await linked.wait("sent")
    assert incoming(sandbox, ANNA) == []
    assert not [e for e in linked.events if e["event"] == "receipt" and e["type"] == DELIVERED]
    sandbox.set_online(ANNA, True)
    assert [m["text"] for m in incoming(sandbox, ANNA)] == ["message 0", "message 1", "message 2"]
    for _ in range(3):
        await linked.wait("receipt", type=DELIVERED)


async def test_receipts_wait_for_a_companion_that_is_away(
    sandbox: SandboxWhatsApp, linked: Client, open_client: Any
) -> None:
    sandbox.create_phone(ANNA)
    sandbox.set_online(ANNA, False)
    linked.do("send", phone=ANNA, text="late")
    sent = await linked.wait("sent")
    await linked.kill()
    await until(sandbox, "disconnect", phone=SALON)
    sandbox.set_online(ANNA, True)
    again = await open_client()
    await again.wait("receipt", ids=[sent["id"]], type=DELIVERED)


async def test_clients_answers_reach_the_companion_and_the_conversation_goes_on(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    sandbox.create_phone(ANNA, "Anna")
    for number in range(3):
        sandbox.send(ANNA, SALON, f"Вопрос {number}")
        got = await linked.wait("message")
        assert (got["text"], got["own"]) == (f"Вопрос {number}", False)
        linked.do("send", phone=ANNA, text=f"Ответ {number}")
        sent = await linked.wait("sent")
        await until(sandbox, "received", phone=ANNA, id=sent["id"])
    assert [m["text"] for m in incoming(sandbox, ANNA)] == ["Ответ 0", "Ответ 1", "Ответ 2"]
    await until(sandbox, "companion_receipt", phone=SALON)
    assert {m["status"] for m in sandbox.phone(ANNA)["inbox"] if m["outgoing"]} == {"delivered"}


async def test_what_the_owner_writes_on_the_phone_is_shown_to_the_companion(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    sandbox.send(SALON, ANNA, "from the phone")
    got = await linked.wait("message")
    assert (got["text"], got["own"]) == ("from the phone", True)
    assert [m["text"] for m in incoming(sandbox, ANNA)] == ["from the phone"]


async def test_messages_wait_for_a_companion_that_is_away(
    sandbox: SandboxWhatsApp, linked: Client, open_client: Any
) -> None:
    await linked.kill()
    await until(sandbox, "disconnect", phone=SALON)
    sandbox.create_phone(ANNA)
    sandbox.send(ANNA, SALON, "are you there?")
    again = await open_client()
    assert (await again.wait("message"))["text"] == "are you there?"
    await until(sandbox, "companion_receipt", phone=SALON)


async def test_a_phone_that_lost_its_session_asks_again_and_gets_the_text(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    sandbox.create_phone(ANNA)
    sandbox.send(ANNA, SALON, "first")
    await linked.wait("message")
    sandbox.hub.accounts[ANNA].sessions.clear()
    linked.do("send", phone=ANNA, text="once more")
    await linked.wait("sent")
    await until(sandbox, "cannot_decrypt", phone=ANNA)
    await until(sandbox, "received", phone=ANNA)
    assert [m["text"] for m in incoming(sandbox, ANNA)] == ["once more"]


async def test_who_is_on_whatsapp(sandbox: SandboxWhatsApp, linked: Client) -> None:
    sandbox.create_phone("79990000009", registered=False)
    linked.do("on_whatsapp", phones=[f"+{ANNA}", "+79990000009"])
    assert (await linked.wait("on_whatsapp"))["found"] == {ANNA: True, "79990000009": False}


async def test_a_swallowed_message_gets_no_answer(sandbox: SandboxWhatsApp, linked: Client) -> None:
    sandbox.fault("lose_acks", SALON, times=1)
    linked.do("send", phone=ANNA, text="gone")
    await until(sandbox, "ack_lost", phone=SALON)
    await asyncio.sleep(0)
    assert "sent" not in linked.names()


async def test_a_companion_that_cannot_open_a_message_gets_it_again(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    sandbox.create_phone(ANNA)
    sandbox.send(ANNA, SALON, "first")
    await linked.wait("message")
    sandbox.hub.accounts[ANNA].sessions[f"{SALON}:1"][0].sending_key = b"\0" * 32
    sandbox.send(ANNA, SALON, "second")
    assert (await linked.wait("message"))["text"] == "second"
    await until(sandbox, "retry", phone=ANNA)


async def test_the_owners_phone_shows_whether_the_client_got_it(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    linked.do("send", phone=ANNA, text="hello")
    await linked.wait("sent")
    await until(sandbox, "received", phone=SALON)
    assert sandbox.phone(SALON)["inbox"][0]["status"] == "delivered"
    sandbox.read(ANNA)
    assert sandbox.phone(SALON)["inbox"][0]["status"] == "read"
