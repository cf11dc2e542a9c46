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

from .engines import CLIENT, SALON, STRANGER, AnyWorld

SESSION = str(uuid.UUID(int=1))


async def test_a_scan_links_a_device(world: AnyWorld) -> None:
    await world.engine.start(SESSION, world.store(SESSION), pairing=True)
    qr = await world.ear.next(QrCode, SESSION)
    assert qr.text.startswith("https://wa.me/settings/linked_devices#")
    assert qr.lifetime == 60
    await world.scan(SESSION, SALON, qr.text)
    connected = await world.ear.next(Connected, SESSION)
    assert connected.phone == SALON
    assert connected.jid == f"{SALON}:1@s.whatsapp.net"
    assert connected.lid and connected.lid.endswith("@lid")


async def test_a_linked_session_ends_up_in_a_shard_and_its_pairing_host_ends(world: AnyWorld) -> None:
    await world.link(SESSION)
    assert [(host.kind, host.sessions) for host in world.engine.hosts()] == [("shard", 1)]
    assert world.ear.count(Disconnected) == world.ear.count(Stopped) == 0


async def test_a_linked_session_comes_up_from_its_store_without_a_code(world: AnyWorld) -> None:
    await world.link(SESSION)
    await world.engine.stop(SESSION)
    await world.ear.next(Stopped, SESSION)
    await world.engine.start(SESSION, world.store(SESSION), pairing=False)
    assert (await world.ear.next(Connected, SESSION)).phone == SALON
    assert world.ear.count(QrCode) == 1


async def test_pairing_from_a_store_that_holds_a_device_needs_no_code(world: AnyWorld) -> None:
    await world.link(SESSION)
    await world.engine.stop(SESSION)
    await world.engine.start(SESSION, world.store(SESSION), pairing=True)
    await world.ear.next(Stopped, SESSION)
    await world.ear.next(Connected, SESSION)
    assert world.ear.count(QrCode) == 1


async def test_a_typed_code_links_a_device(world: AnyWorld) -> None:
    await world.engine.start(SESSION, world.store(SESSION), pairing=True)
    await world.ear.next(QrCode, SESSION)
    await world.engine.request_pairing_code(SESSION, SALON)
    code = await world.ear.next(PairingCode, SESSION)
    assert len(code.code) == 9 and code.code[4] == "-"
    assert 0 < code.lifetime <= 50
    await world.type_code(SESSION, SALON, code.code)
    assert (await world.ear.next(Connected, SESSION)).phone == SALON


async def test_a_linked_session_gets_no_pairing_code(world: AnyWorld) -> None:
    await world.linked(SESSION)
    await world.engine.request_pairing_code(SESSION, SALON)
    assert (await world.ear.next(PairingCodeFailed, SESSION)).code == "not_waiting"


async def test_a_store_without_a_device_cannot_be_resumed(world: AnyWorld) -> None:
    await world.engine.start(SESSION, world.store(SESSION), pairing=False)
    assert (await world.ear.next(ConnectFailed, SESSION)).permanent
    await world.ear.next(Stopped, SESSION)
    assert not world.engine.owns(SESSION)


async def test_a_damaged_store_cannot_be_resumed(world: AnyWorld) -> None:
    world.store(SESSION).write_bytes(b"not a database at all" * 100)
    await world.engine.start(SESSION, world.store(SESSION), pairing=False)
    assert (await world.ear.next(ConnectFailed, SESSION)).permanent


async def test_a_lost_line_comes_back(world: AnyWorld) -> None:
    await world.linked(SESSION)
    await world.drop(SESSION)
    await world.ear.next(Disconnected, SESSION)
    await world.ear.next(Connected, SESSION)
    assert world.engine.owns(SESSION)


async def test_a_line_that_breaks_again_and_again_is_given_up(world: AnyWorld) -> None:
    await world.linked(SESSION)
    for _return in range(3):
        await world.drop(SESSION)
        await world.ear.next(Disconnected, SESSION)
        await world.ear.next(Connected, SESSION)
    await world.drop(SESSION)
    failed = await world.ear.next(ConnectFailed, SESSION)
    assert failed.reason.startswith(BREAKS_AGAIN)
    assert not failed.permanent
    await world.ear.next(Stopped, SESSION)
    assert not world.engine.owns(SESSION)


async def test_a_device_removed_on_the_phone_is_logged_out_for_good(world: AnyWorld) -> None:
    await world.linked(SESSION)
    await world.unlink_on_the_phone(SESSION)
    await world.ear.next(LoggedOut, SESSION)
    await world.ear.next(Stopped, SESSION)
    assert not world.engine.owns(SESSION)
    await world.engine.start(SESSION, world.store(SESSION), pairing=False)
    assert (await world.ear.next(ConnectFailed, SESSION)).permanent


async def test_a_replaced_session_stops(world: AnyWorld) -> None:
    await world.linked(SESSION)
    await world.replace(SESSION)
    await world.ear.next(Replaced, SESSION)
    await world.ear.next(Stopped, SESSION)
    assert not world.engine.owns(SESSION)


async def test_a_ban_tells_its_length(world: AnyWorld) -> None:
    await world.linked(SESSION)
    await world.ban(SESSION)
    ban = await world.ear.next(Banned, SESSION)
    assert (ban.expires_in, ban.code) == (3600, 101)
    await world.ear.next(Stopped, SESSION)


async def test_an_outdated_client_stops(world: AnyWorld) -> None:
    await world.linked(SESSION)
    await world.outdate(SESSION)
    await world.ear.next(ClientOutdated, SESSION)
    await world.ear.next(Stopped, SESSION)


async def test_a_message_is_sent_delivered_and_read(world: AnyWorld) -> None:
    if hasattr(world, "simulated"):
        world.simulated.script.auto_deliver = True
    await world.linked(SESSION)
    await world.engine.send(SESSION, "first", CLIENT, "Ждём вас завтра @79991112233")
    sent = await world.ear.next(Sent, SESSION)
    assert sent.ref == "first"
    delivered = await world.ear.next(Receipt, SESSION)
    assert (delivered.kind, delivered.message_ids) == ("delivered", [sent.wa_message_id])
    await world.open_chat(SESSION)
    read = await world.ear.next(Receipt, SESSION)
    assert (read.kind, read.message_ids) == ("read", [sent.wa_message_id])
    assert 1_700_000_000 < read.at < 5_000_000_000
    world.expect_texts("Ждём вас завтра @79991112233")


async def test_messages_of_one_session_keep_their_order(world: AnyWorld) -> None:
    await world.linked(SESSION)
    for number in range(5):
        await world.engine.send(SESSION, str(number), CLIENT, f"message {number}")
    answers = [(await world.ear.next(Sent, SESSION)).ref for _ in range(5)]
    assert answers == ["0", "1", "2", "3", "4"]
    world.expect_texts(*(f"message {number}" for number in range(5)))


async def test_numbers_are_checked_in_the_order_of_the_question(world: AnyWorld) -> None:
    if hasattr(world, "simulated"):
        world.simulated.script.not_on_whatsapp.add(STRANGER)
    else:
        world.sandbox.create_phone(STRANGER, registered=False)
        world.sandbox.create_phone(CLIENT)
    await world.linked(SESSION)
    await world.engine.check_numbers(SESSION, "a", [STRANGER, CLIENT])
    checked = await world.ear.next(NumbersChecked, SESSION)
    assert (checked.ref, checked.error) == ("a", None)
    assert [(found["phone"], found["on_whatsapp"]) for found in checked.results] == [
        (STRANGER, False),
        (CLIENT, True),
    ]
    assert checked.results[1]["jid"] == f"{CLIENT}@s.whatsapp.net"


async def test_a_message_of_a_person_arrives(world: AnyWorld) -> None:
    await world.linked(SESSION)
    if not hasattr(world, "simulated"):
        world.sandbox.create_phone(CLIENT)
    await world.write(SESSION, "Спасибо!")
    incoming = await world.ear.next(Incoming, SESSION)
    assert (incoming.phone, incoming.text, incoming.note) == (CLIENT, "Спасибо!", None)
    assert incoming.lid


async def test_logout_removes_the_device_at_whatsapp(world: AnyWorld) -> None:
    await world.linked(SESSION)
    await world.engine.logout(SESSION)
    await world.ear.next(Stopped, SESSION)
    assert world.ear.count(LoggedOut) == 0
    await world.engine.start(SESSION, world.store(SESSION), pairing=False)
    assert (await world.ear.next(ConnectFailed, SESSION)).permanent


async def test_a_pairing_attempt_can_be_stopped_while_its_code_waits(world: AnyWorld) -> None:
    await world.engine.start(SESSION, world.store(SESSION), pairing=True)
    await world.ear.next(QrCode, SESSION)
    await world.engine.stop(SESSION)
    assert not world.engine.owns(SESSION)
    assert not [host for host in world.engine.hosts() if host.kind == "pairing"]
    await world.ear.next(Stopped, SESSION)
    assert all(event.sessions == [] for event in world.ear.everything if isinstance(event, HostExited))


async def test_a_dead_host_names_its_sessions_and_they_can_start_again(world: AnyWorld) -> None:
    await world.linked(SESSION)
    await world.kill_host(SESSION)
    while not (exited := await world.ear.next(HostExited)).sessions:
        continue
    assert exited.sessions == [SESSION]
    assert not world.engine.owns(SESSION)
    await world.engine.start(SESSION, world.store(SESSION), pairing=False)
    await world.ear.next(Connected, SESSION)


async def test_starting_a_held_session_restarts_it(world: AnyWorld) -> None:
    await world.linked(SESSION)
    await world.engine.start(SESSION, world.store(SESSION), pairing=False)
    await world.ear.next(Connected, SESSION)
    assert world.ear.count(Stopped) == 0


async def test_a_session_that_is_not_held_is_refused(world: AnyWorld) -> None:
    with pytest.raises(EngineError):
        await world.engine.send(SESSION, "1", CLIENT, "text")
    with pytest.raises(EngineError):
        await world.engine.check_numbers(SESSION, "1", [CLIENT])
    with pytest.raises(EngineError):
        await world.engine.request_pairing_code(SESSION, SALON)
    with pytest.raises(EngineError):
        await world.engine.logout(SESSION)
    await world.engine.stop(SESSION)


async def test_closing_stops_every_session_and_ends_the_events(world: AnyWorld) -> None:
    await world.linked(SESSION)
    await world.engine.close()
    await world.ear.end()
    assert world.ear.everything[-1] == Stopped(SESSION)
    assert not world.engine.owns(SESSION)
