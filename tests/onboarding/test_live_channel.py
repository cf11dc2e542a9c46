"""The live channel, with the real consumer and channel layer."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.db import OperationalError
from django.utils import timezone

from marketplace.models import Company
from onboarding.linking import page_actions, tokens
from onboarding.live import consumers
from tests.onboarding.visitors import PHONE, Visitor, forge, forgeries
from tests.servers import Redis
from whatsapp.models import Session

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("channel_layer_of_this_loop"),
]

OURS = (b"origin", b"http://testserver")


class Tab:
    """A browser tab: opens the channel as the page does, and reads what comes."""

    def __init__(
        self, token: str, *, headers: list[tuple[bytes, bytes]] | None = None, query: str = ""
    ) -> None:
        from config.asgi import application

        self.socket = WebsocketCommunicator(
            application,
            f"/ws/marketplace/{query}",
            headers=[OURS] if headers is None else headers,
            subprotocols=["marketplace.v1", f"jwt.{token}"] if token else [],
        )

    async def __aenter__(self) -> Tab:
        accepted, self.subprotocol = await self.socket.connect(timeout=10)
        assert accepted, self.subprotocol
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.socket.disconnect(timeout=10)

    async def receive_event(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.socket.receive_from(timeout=10))
        return message

    async def receive_until(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Everything up to an event with these fields."""
        received = []
        while True:
            received.append(await self.receive_event())
            last = received[-1]
            if last["event"] == event and all(last.get(name) == value for name, value in fields.items()):
                return received

    async def say(self, message: Any) -> None:
        await self.socket.send_to(text_data=message if isinstance(message, str) else json.dumps(message))

    async def closed(self) -> int:
        """The close code, whatever is sent before."""
        while True:
            output = await self.socket.receive_output(timeout=10)
            if output["type"] == "websocket.close":
                code: int = output.get("code", 1000)
                return code


def names(received: list[dict[str, Any]]) -> list[str]:
    return [message["event"] for message in received]


in_database = sync_to_async


# --- who is let in ---


async def test_a_browser_is_let_in_by_its_subprotocol(moscow: Visitor) -> None:
    async with Tab(moscow.token) as tab:
        assert tab.subprotocol == "marketplace.v1"
        assert (await tab.receive_event())["event"] == "status"


async def test_another_client_is_let_in_by_its_header(moscow: Visitor) -> None:
    async with Tab("", headers=[(b"authorization", f"Bearer {moscow.token}".encode())]) as tab:
        assert tab.subprotocol is None
        assert (await tab.receive_event())["session_id"] == "company_307626"


async def test_forged_tokens_are_told_so_by_a_close_code(moscow: Visitor) -> None:
    for kind, token in (await in_database(forgeries)(moscow)).items():
        if kind == "missing":
            continue
        async with Tab(token) as tab:
            assert await tab.closed() == 4401, kind


@pytest.mark.parametrize(
    "headers", [[], [(b"authorization", b"Bearer nonsense")], [(b"authorization", b"Basic x")]]
)
async def test_clients_without_the_protocol_are_refused_at_the_handshake(
    moscow: Visitor, headers: list[tuple[bytes, bytes]]
) -> None:
    tab = Tab("", headers=headers, query=f"?token={moscow.token}")
    accepted, _code = await tab.socket.connect(timeout=10)
    assert not accepted


async def test_a_foreign_page_is_refused(moscow: Visitor) -> None:
    for origin in (b"https://evil.example", b"null"):
        async with Tab(moscow.token, headers=[(b"origin", origin)]) as tab:
            assert await tab.closed() == 4403


async def test_a_foreign_page_with_a_header_is_refused_at_the_handshake(moscow: Visitor) -> None:
    headers = [(b"origin", b"https://evil.example"), (b"authorization", f"Bearer {moscow.token}".encode())]
    accepted, _code = await Tab("", headers=headers).socket.connect(timeout=10)
    assert not accepted


async def test_the_sixth_connection_within_a_minute_is_one_too_many(moscow: Visitor, settings: Any) -> None:
    settings.WS_CONNECTS_PER_MINUTE = 5
    for _ in range(3):
        async with Tab("nonsense") as tab:  # guessing counts, too
            assert await tab.closed() == 4401
    for _ in range(2):
        async with Tab(moscow.token) as tab:
            await tab.receive_event()
    async with Tab(moscow.token) as tab:
        assert await tab.closed() == 4429


# --- what is pushed ---


async def test_the_snapshot_comes_first_and_then_what_it_implies(moscow: Visitor) -> None:
    text = await in_database(moscow.shows_qr)()
    async with Tab(moscow.token) as tab:
        status, qr = await tab.receive_event(), await tab.receive_event()
    assert (status["event"], status["status"], status["hasQR"]) == ("status", "qr", True)
    assert qr == {"event": "qr-update", "qr": text, "expiresIn": qr["expiresIn"]}
    assert 55 <= qr["expiresIn"] <= 60


async def test_a_whole_linking_is_followed(moscow: Visitor) -> None:
    async with Tab(moscow.token) as tab:
        await tab.receive_until("status")
        await in_database(moscow.shows_qr)(1)
        await tab.receive_until("qr-update")
        await in_database(moscow.shows_qr)(2)
        assert (await tab.receive_until("qr-update"))[-1]["qr"].endswith(
            "ref2,bm9pc2U=,aWRlbnRpdHk=,c2VjcmV0,1"
        )
        await in_database(moscow.shows_code)()
        code = (await tab.receive_until("pairing-code"))[-1]
        assert (code["code"], code["phoneNumber"]) == ("6R4J-8Q3R", PHONE)
        await in_database(moscow.phone_scans)()
        connected = (await tab.receive_until("whatsapp-connected"))[-1]
        assert connected["success"] is True
        assert (connected["phone"], connected["companyId"]) == ("7999*****00", moscow.company.pk)
        await in_database(moscow.becomes)("activating")
        await in_database(moscow.becomes)("active", redirect_url="https://yclients.com/done")
        active = (await tab.receive_until("activation", status="active"))[-1]
        assert active["redirectUrl"] == "https://yclients.com/done"
        assert active["message"]


async def test_a_lost_link_is_told_as_an_error_and_as_a_status(moscow: Visitor) -> None:
    await in_database(moscow.phone_scans)()
    async with Tab(moscow.token, query="?lang=en") as tab:
        await tab.receive_until("whatsapp-connected")
        await in_database(moscow.pool_writes)(status="logged_out", jid="", phone="", trouble="logged_out")
        heard = await tab.receive_until("error")
        assert names(heard)[-2:] == ["status", "error"]
        assert heard[-2]["status"] == "logged_out"
        assert (heard[-1]["code"], heard[-1]["message"]) == (
            "logged_out",
            "The link was removed on the phone. Link it again here.",
        )


async def test_a_failed_activation_and_a_failed_code_are_told(moscow: Visitor) -> None:
    async with Tab(moscow.token, query="?lang=en") as tab:
        await tab.receive_until("status")
        await in_database(moscow.pool_writes)(pairing_error="bad_phone")
        failed = (await tab.receive_until("pairing-code-error"))[-1]
        assert failed["code"] == "bad_phone"
        assert failed["message"].startswith("WhatsApp does not accept this number.")
        await in_database(moscow.phone_scans)()
        await in_database(moscow.becomes)("activation_failed")
        assert (await tab.receive_until("activation", status="failed"))[-1]["redirectUrl"] is None


async def test_what_happened_before_is_told_to_a_new_tab(moscow: Visitor) -> None:
    await in_database(moscow.phone_scans)()
    await in_database(moscow.becomes)("active", redirect_url="https://yclients.com/done")
    async with Tab(moscow.token) as tab:
        received = await tab.receive_until("activation")
    assert names(received) == ["status", "whatsapp-connected", "activation"]


async def test_two_tabs_both_follow_and_another_salon_hears_nothing(moscow: Visitor, kazan: Visitor) -> None:
    async with Tab(moscow.token) as first, Tab(moscow.token) as second, Tab(kazan.token) as other:
        for tab in (first, second, other):
            await tab.receive_until("status")
        text = await in_database(moscow.shows_qr)()
        assert (await first.receive_until("qr-update"))[-1]["qr"] == text
        assert (await second.receive_until("qr-update"))[-1]["qr"] == text
        theirs = await in_database(kazan.shows_qr)(7)
        received = await other.receive_until("qr-update", qr=theirs)
        assert text not in json.dumps(received)
        assert {message["salonId"] for message in received if message["event"] == "status"} == {412870}


async def test_a_change_without_a_hint_arrives_by_polling(moscow: Visitor) -> None:
    async with Tab(moscow.token) as tab:
        await tab.receive_until("status")
        await Session.objects.filter(pk=(await in_database(lambda: moscow.session)()).pk).aupdate(
            status="qr",
            qr="https://wa.me/x",
            qr_expires_at=timezone.now() + timedelta(seconds=60),
            version=99,
        )
        assert (await tab.receive_until("qr-update"))[-1]["qr"] == "https://wa.me/x"


async def test_an_older_picture_is_not_shown_again(moscow: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_database(moscow.shows_qr)()
    request = page_actions.SnapshotRequest(tokens.verify(moscow.token), viewed=False, language="ru")
    (late,) = await in_database(page_actions.read_states)([request])
    async with Tab(moscow.token) as tab:
        await in_database(moscow.phone_scans)()
        await tab.receive_until("activation")
        monkeypatch.setattr(page_actions, "read_states", lambda looks: [late] * len(looks))
        await in_database(moscow.pool_writes)()
        assert await tab.socket.receive_nothing(timeout=1.5)


async def test_a_burst_of_hints_is_one_message(moscow: Visitor) -> None:
    async with Tab(moscow.token) as tab:
        await tab.receive_until("status")
        for n in range(20):
            await in_database(moscow.shows_qr)(n)
        received = await tab.receive_until("qr-update", qr=(await in_database(lambda: moscow.session)()).qr)
        assert len(received) < 30


async def test_an_open_tab_counts_as_a_look(moscow: Visitor) -> None:
    async with Tab(moscow.token) as tab:
        await tab.receive_until("status")
        session = await in_database(lambda: moscow.session)()
    assert session.viewed_at
    assert session.wanted == "linked"


async def test_an_uninstalled_salon_is_told_and_let_go(moscow: Visitor) -> None:
    async with Tab(moscow.token) as tab:
        await tab.receive_until("status")
        await in_database(moscow.becomes)("uninstalled")
        received = await tab.receive_until("status")
        assert received[-1]["companyStatus"] == "uninstalled"
        assert await tab.closed() == 4401


async def test_the_channel_ends_with_its_token(moscow: Visitor) -> None:
    token = forge(moscow, exp=datetime.now(UTC) + timedelta(seconds=3))
    async with Tab(token) as tab:
        assert (await tab.receive_event())["event"] == "status"
        assert await tab.closed() == 4401


async def test_a_new_session_of_the_salon_is_followed(moscow: Visitor) -> None:
    def register_again() -> None:
        from marketplace.models import Company

        old = moscow.session
        Session.objects.filter(pk=old.pk).update(version=50)
        moscow.company.session = Session.objects.create(version=1)
        Company.objects.filter(pk=moscow.company.pk).update(session=moscow.company.session)

    async with Tab(moscow.token) as tab:
        await tab.receive_until("status")
        await in_database(register_again)()
        text = await in_database(moscow.shows_qr)(5)
        assert (await tab.receive_until("qr-update"))[-1]["qr"] == text


# --- what a page may ask ---


@pytest.mark.parametrize("name", ["event", "type"])
async def test_a_fresh_qr_can_be_asked_for(moscow: Visitor, name: str) -> None:
    async with Tab(moscow.token) as tab:
        await tab.receive_until("status")
        await in_database(moscow.pool_writes)(pairing_requested_at=timezone.now() - timedelta(minutes=1))
        await tab.receive_until("status", version=(await in_database(lambda: moscow.session)()).version)
        await tab.say({name: "request-qr"})
        await tab.receive_until("status")
        session = await in_database(lambda: moscow.session)()
        assert session.pairing_requested_at
        assert session.pairing_requested_at > timezone.now() - timedelta(seconds=20)
        await tab.say({name: "request-qr"})
        assert (await tab.receive_until("error"))[-1]["code"] == "too_soon"


async def test_a_pairing_code_can_be_asked_for(moscow: Visitor) -> None:
    async with Tab(moscow.token) as tab:
        await tab.say({"event": "request-pairing-code", "phoneNumber": "8 999 000 09 00"})
        assert (await tab.receive_until("status", pairingPhone=PHONE))[-1]["pairingPhone"] == PHONE


async def test_a_german_salon_may_leave_out_the_country_code(moscow: Visitor) -> None:
    await in_database(Company.objects.update)(phone="493012345678")
    async with Tab(moscow.token) as tab:
        await tab.say({"event": "request-pairing-code", "phoneNumber": "0151 23456789"})
        await tab.receive_until("status", pairingPhone="4915123456789")


@pytest.mark.parametrize("phone", [None, "", "abc", "12", ["7"], {"a": 1}, True, "9" * 500, "79\x0099"])
async def test_what_is_no_phone_is_answered_in_words(moscow: Visitor, phone: Any) -> None:
    async with Tab(moscow.token) as tab:
        await tab.say({"event": "request-pairing-code", "phoneNumber": phone})
        failed = (await tab.receive_until("pairing-code-error"))[-1]
        assert failed["code"] == "invalid_phone"
        assert "номер телефона" in failed["message"]


async def test_a_linked_salon_needs_no_code(moscow: Visitor) -> None:
    await in_database(moscow.phone_scans)()
    async with Tab(moscow.token) as tab:
        await tab.say({"event": "request-qr"})
        assert (await tab.receive_until("error"))[-1]["code"] == "already_linked"
        await tab.say({"event": "request-pairing-code", "phoneNumber": PHONE})
        assert (await tab.receive_until("pairing-code-error"))[-1]["code"] == "already_linked"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "bad_message"),
        ("[]", "bad_message"),
        ("null", "bad_message"),
        ("[" * 4000, "bad_message"),
        ('"' + "x" * 9000 + '"', "too_large"),
        ("{}", "unknown_event"),
        ('{"event": "unlink"}', "unknown_event"),
        ('{"event": {"a": []}}', "unknown_event"),
        ('{"event": "session.changed"}', "unknown_event"),
    ],
)
async def test_a_malformed_message_is_answered_and_survived(moscow: Visitor, message: str, code: str) -> None:
    async with Tab(moscow.token) as tab:
        await tab.say(message)
        assert (await tab.receive_until("error"))[-1]["code"] == code
        await tab.socket.send_to(bytes_data=b"\x00\xff")
        assert (await tab.receive_until("error"))[-1]["code"] == "bad_message"


async def test_a_flood_is_ended(moscow: Visitor) -> None:
    async with Tab(moscow.token) as tab:
        for _ in range(consumers.FLOOD):
            await tab.say({"event": "nonsense"})
        received = await tab.receive_until("error", code="too_many_messages")
        assert names(received).count("error") == consumers.MESSAGES_MOST + 1
        assert await tab.closed() == 4429


# --- when something else is down ---


async def test_a_silent_database_is_told_once_and_survived(
    moscow: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_named: Any) -> None:
        raise OperationalError("the database is away")

    async with Tab(moscow.token) as tab:
        await tab.receive_until("status")
        with monkeypatch.context() as broken:
            broken.setattr(page_actions, "read_states", fail)
            broken.setattr(page_actions, "request_qr", fail)
            assert (await tab.receive_until("error"))[-1]["code"] == "unavailable"
            await tab.say({"event": "request-qr"})
            assert (await tab.receive_until("error"))[-1]["code"] == "unavailable"
        text = await in_database(moscow.shows_qr)()
        assert (await tab.receive_until("qr-update"))[-1]["qr"] == text


async def test_a_page_opened_without_redis_is_served_and_hears_again_when_redis_is_back(
    moscow: Visitor, settings: Any, own_redis: Redis
) -> None:
    settings.REDIS_URL = own_redis.url
    backend = "config.shared.channel_layer.ChannelLayer"
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": {"hosts": [own_redis.url]}}}
    await asyncio.to_thread(own_redis.stop)
    async with Tab(moscow.token) as tab:
        await tab.receive_until("status")
        first = await in_database(moscow.shows_qr)(1)
        assert (await tab.receive_until("qr-update"))[-1]["qr"] == first
        await asyncio.to_thread(own_redis.start)
        second = await in_database(moscow.shows_qr)(2)
        assert (await tab.receive_until("qr-update"))[-1]["qr"] == second
        await asyncio.to_thread(own_redis.restart)
        third = await in_database(moscow.shows_qr)(3)
        assert (await tab.receive_until("qr-update"))[-1]["qr"] == third
