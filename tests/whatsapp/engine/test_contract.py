"""What every engine promises to the pool, asked of both."""

from __future__ import annotations

import uuid

import pytest

from whatsapp.engine import EngineError
from whatsapp.engine.events import (
    BREAKS_AGAIN,
    Banned,
    ClientOutdated,
    Connected,
    ConnectFailed,
    Disconnected,
    HostExited,
    Incoming,
    LoggedOut,
    NumbersChecked,
    PairingCode,
    PairingCodeFailed,
    QrCode,
    Receipt,
    Replaced,
    Sent,
    Stopped,
)

from .engines import CLIENT, SALON, STRANGER, AnyHarness

SESSION = str(uuid.UUID(int=1))


async def test_a_scan_links_a_device(harness: AnyHarness) -> None:
    await harness.engine.start(SESSION, harness.store(SESSION), pairing=True)
    qr = await harness.recorder.next(QrCode, SESSION)
    assert qr.text.startswith("https://wa.me/settings/linked_devices#")
    assert qr.lifetime == 60
    await harness.scan(SESSION, SALON, qr.text)
    connected = await harness.recorder.next(Connected, SESSION)
    assert connected.phone == SALON
    assert connected.jid == f"{SALON}:1@s.whatsapp.net"
    assert connected.lid and connected.lid.endswith("@lid")


async def test_a_linked_session_ends_up_in_a_shard_and_its_pairing_host_ends(harness: AnyHarness) -> None:
    await harness.link(SESSION)
    assert [(host.kind, host.sessions) for host in harness.engine.hosts()] == [("shard", 1)]
    assert harness.recorder.count(Disconnected) == harness.recorder.count(Stopped) == 0


async def test_a_linked_session_comes_up_from_its_store_without_a_code(harness: AnyHarness) -> None:
    await harness.link(SESSION)
    await harness.engine.stop(SESSION)
    await harness.recorder.next(Stopped, SESSION)
    await harness.engine.start(SESSION, harness.store(SESSION), pairing=False)
    assert (await harness.recorder.next(Connected, SESSION)).phone == SALON
    assert harness.recorder.count(QrCode) == 1


async def test_pairing_from_a_store_that_holds_a_device_needs_no_code(harness: AnyHarness) -> None:
    await harness.link(SESSION)
    await harness.engine.stop(SESSION)
    await harness.engine.start(SESSION, harness.store(SESSION), pairing=True)
    await harness.recorder.next(Stopped, SESSION)
    await harness.recorder.next(Connected, SESSION)
    assert harness.recorder.count(QrCode) == 1


async def test_a_typed_code_links_a_device(harness: AnyHarness) -> None:
    await harness.engine.start(SESSION, harness.store(SESSION), pairing=True)
    await harness.recorder.next(QrCode, SESSION)
    await harness.engine.request_pairing_code(SESSION, SALON)
    code = await harness.recorder.next(PairingCode, SESSION)
    assert len(code.code) == 9 and code.code[4] == "-"
    assert 0 < code.lifetime <= 50
    await harness.type_code(SESSION, SALON, code.code)
    assert (await harness.recorder.next(Connected, SESSION)).phone == SALON


async def test_a_linked_session_gets_no_pairing_code(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.engine.request_pairing_code(SESSION, SALON)
    assert (await harness.recorder.next(PairingCodeFailed, SESSION)).code == "not_waiting"


async def test_a_store_without_a_device_cannot_be_resumed(harness: AnyHarness) -> None:
    await harness.engine.start(SESSION, harness.store(SESSION), pairing=False)
    assert (await harness.recorder.next(ConnectFailed, SESSION)).permanent
    await harness.recorder.next(Stopped, SESSION)
    assert not harness.engine.owns(SESSION)


async def test_a_damaged_store_cannot_be_resumed(harness: AnyHarness) -> None:
    harness.store(SESSION).write_bytes(b"not a database at all" * 100)
    await harness.engine.start(SESSION, harness.store(SESSION), pairing=False)
    assert (await harness.recorder.next(ConnectFailed, SESSION)).permanent


async def test_a_lost_line_comes_back(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.drop(SESSION)
    await harness.recorder.next(Disconnected, SESSION)
    await harness.recorder.next(Connected, SESSION)
    assert harness.engine.owns(SESSION)


async def test_a_line_that_breaks_again_and_again_is_given_up(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    for _return in range(3):
        await harness.drop(SESSION)
        await harness.recorder.next(Disconnected, SESSION)
        await harness.recorder.next(Connected, SESSION)
    await harness.drop(SESSION)
    failed = await harness.recorder.next(ConnectFailed, SESSION)
    assert failed.reason.startswith(BREAKS_AGAIN)
    assert not failed.permanent
    await harness.recorder.next(Stopped, SESSION)
    assert not harness.engine.owns(SESSION)


async def test_a_device_removed_on_the_phone_is_logged_out_for_good(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.unlink_on_the_phone(SESSION)
    await harness.recorder.next(LoggedOut, SESSION)
    await harness.recorder.next(Stopped, SESSION)
    assert not harness.engine.owns(SESSION)
    await harness.engine.start(SESSION, harness.store(SESSION), pairing=False)
    assert (await harness.recorder.next(ConnectFailed, SESSION)).permanent


async def test_a_replaced_session_stops(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.replace(SESSION)
    await harness.recorder.next(Replaced, SESSION)
    await harness.recorder.next(Stopped, SESSION)
    assert not harness.engine.owns(SESSION)


async def test_a_ban_tells_its_length(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.ban(SESSION)
    ban = await harness.recorder.next(Banned, SESSION)
    assert (ban.expires_in, ban.code) == (3600, 101)
    await harness.recorder.next(Stopped, SESSION)


async def test_an_outdated_client_stops(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.outdate(SESSION)
    await harness.recorder.next(ClientOutdated, SESSION)
    await harness.recorder.next(Stopped, SESSION)


async def test_a_message_is_sent_delivered_and_read(harness: AnyHarness) -> None:
    if hasattr(harness, "simulated"):
        harness.simulated.script.auto_deliver = True
    await harness.linked(SESSION)
    await harness.engine.send(SESSION, "first", CLIENT, "Ждём вас завтра @79991112233")
    sent = await harness.recorder.next(Sent, SESSION)
    assert sent.ref == "first"
    delivered = await harness.recorder.next(Receipt, SESSION)
    assert (delivered.kind, delivered.message_ids) == ("delivered", [sent.wa_message_id])
    await harness.open_chat(SESSION)
    read = await harness.recorder.next(Receipt, SESSION)
    assert (read.kind, read.message_ids) == ("read", [sent.wa_message_id])
    assert 1_700_000_000 < read.at < 5_000_000_000
    harness.expect_texts("Ждём вас завтра @79991112233")


async def test_messages_of_one_session_keep_their_order(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    for number in range(5):
        await harness.engine.send(SESSION, str(number), CLIENT, f"message {number}")
    answers = [(await harness.recorder.next(Sent, SESSION)).ref for _ in range(5)]
    assert answers == ["0", "1", "2", "3", "4"]
    harness.expect_texts(*(f"message {number}" for number in range(5)))


async def test_numbers_are_checked_in_the_order_of_the_question(harness: AnyHarness) -> None:
    if hasattr(harness, "simulated"):
        harness.simulated.script.not_on_whatsapp.add(STRANGER)
    else:
        harness.sandbox.create_phone(STRANGER, registered=False)
        harness.sandbox.create_phone(CLIENT)
    await harness.linked(SESSION)
    await harness.engine.check_numbers(SESSION, "a", [STRANGER, CLIENT])
    checked = await harness.recorder.next(NumbersChecked, SESSION)
    assert (checked.ref, checked.error) == ("a", None)
    assert [(found["phone"], found["on_whatsapp"]) for found in checked.results] == [
        (STRANGER, False),
        (CLIENT, True),
    ]
    assert checked.results[1]["jid"] == f"{CLIENT}@s.whatsapp.net"


async def test_a_message_of_a_person_arrives(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    if not hasattr(harness, "simulated"):
        harness.sandbox.create_phone(CLIENT)
    await harness.write(SESSION, "Спасибо!")
    incoming = await harness.recorder.next(Incoming, SESSION)
    assert (incoming.phone, incoming.text, incoming.note) == (CLIENT, "Спасибо!", None)
    assert incoming.lid


async def test_logout_removes_the_device_at_whatsapp(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.engine.logout(SESSION)
    await harness.recorder.next(Stopped, SESSION)
    assert harness.recorder.count(LoggedOut) == 0
    await harness.engine.start(SESSION, harness.store(SESSION), pairing=False)
    assert (await harness.recorder.next(ConnectFailed, SESSION)).permanent


async def test_a_pairing_attempt_can_be_stopped_while_its_code_waits(harness: AnyHarness) -> None:
    await harness.engine.start(SESSION, harness.store(SESSION), pairing=True)
    await harness.recorder.next(QrCode, SESSION)
    await harness.engine.stop(SESSION)
    assert not harness.engine.owns(SESSION)
    assert not [host for host in harness.engine.hosts() if host.kind == "pairing"]
    await harness.recorder.next(Stopped, SESSION)
    assert all(event.sessions == [] for event in harness.recorder.everything if isinstance(event, HostExited))


async def test_a_dead_host_names_its_sessions_and_they_can_start_again(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.kill_host(SESSION)
    while not (exited := await harness.recorder.next(HostExited)).sessions:
        continue
    assert exited.sessions == [SESSION]
    assert not harness.engine.owns(SESSION)
    await harness.engine.start(SESSION, harness.store(SESSION), pairing=False)
    await harness.recorder.next(Connected, SESSION)


async def test_starting_a_held_session_restarts_it(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.engine.start(SESSION, harness.store(SESSION), pairing=False)
    await harness.recorder.next(Connected, SESSION)
    assert harness.recorder.count(Stopped) == 0


async def test_a_session_that_is_not_held_is_refused(harness: AnyHarness) -> None:
    with pytest.raises(EngineError):
        await harness.engine.send(SESSION, "1", CLIENT, "text")
    with pytest.raises(EngineError):
        await harness.engine.check_numbers(SESSION, "1", [CLIENT])
    with pytest.raises(EngineError):
        await harness.engine.request_pairing_code(SESSION, SALON)
    with pytest.raises(EngineError):
        await harness.engine.logout(SESSION)
    await harness.engine.stop(SESSION)


async def test_closing_stops_every_session_and_ends_the_events(harness: AnyHarness) -> None:
    await harness.linked(SESSION)
    await harness.engine.close()
    await harness.recorder.end()
    assert harness.recorder.everything[-1] == Stopped(SESSION)
    assert not harness.engine.owns(SESSION)
