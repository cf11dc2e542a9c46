"""The handles of the simulated engine that the contract does not use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from whatsapp.engine import EngineError
from whatsapp.engine.events import (
    Connected,
    ConnectFailed,
    Disconnected,
    HostExited,
    Incoming,
    LoggedOut,
    NumbersChecked,
    PairingCode,
    PairingCodeFailed,
    PairingEnded,
    QrCode,
    SendFailed,
    Stopped,
)
from whatsapp.engine.simulated import SimulatedEngine

from .engines import CLIENT, SALON, EventRecorder

ONE, TWO = "one", "two"


@pytest.fixture
async def engine() -> AsyncIterator[SimulatedEngine]:
    simulated = SimulatedEngine(pace=0.001)
    yield simulated
    await simulated.close()


@pytest.fixture
async def recorder(engine: SimulatedEngine) -> EventRecorder:
    return EventRecorder(engine)


async def link(
    engine: SimulatedEngine, recorder: EventRecorder, store: Path, session: str = ONE, phone: str = SALON
) -> None:
    await engine.start(session, store, pairing=True)
    await recorder.next(QrCode, session)
    engine.scan(session, phone)
    await recorder.next(Connected, session)
    await recorder.next(Connected, session)


async def test_six_codes_run_out_and_the_attempt_ends(
    engine: SimulatedEngine, recorder: EventRecorder, tmp_path: Path
) -> None:
    await engine.start(ONE, tmp_path / "a.db", pairing=True)
    lifetimes = [(await recorder.next(QrCode, ONE)).lifetime for _ in range(6)]
    assert lifetimes == pytest.approx([0.06] + [0.02] * 5)
    assert (await recorder.next(PairingEnded, ONE)).reason == "timeout"
    await recorder.next(Stopped, ONE)
    assert engine.hosts() == []


async def test_a_code_can_be_skipped(
    engine: SimulatedEngine, recorder: EventRecorder, tmp_path: Path
) -> None:
    await engine.start(ONE, tmp_path / "a.db", pairing=True)
    first = await recorder.next(QrCode, ONE)
    engine.skip_code(ONE)
    assert (await recorder.next(QrCode, ONE)).text != first.text


async def test_nothing_can_be_scanned_before_a_code_is_shown(engine: SimulatedEngine, tmp_path: Path) -> None:
    await engine.start(ONE, tmp_path / "a.db", pairing=True)
    with pytest.raises(EngineError):
        engine.scan(ONE, SALON)


async def test_a_wrong_pairing_code_can_be_typed_again(
    engine: SimulatedEngine, recorder: EventRecorder, tmp_path: Path
) -> None:
    await engine.start(ONE, tmp_path / "a.db", pairing=True)
    await recorder.next(QrCode, ONE)
    await engine.request_pairing_code(ONE, SALON)
    code = (await recorder.next(PairingCode, ONE)).code
    with pytest.raises(EngineError):
        engine.type_code(ONE, "0000-0000")
    engine.type_code(ONE, code)
    assert (await recorder.next(Connected, ONE)).phone == SALON


async def test_failures_follow_the_script(
    engine: SimulatedEngine, recorder: EventRecorder, tmp_path: Path
) -> None:
    engine.script.pairing_code_failures.append(("rate_limited", "WhatsApp asks to wait."))
    await engine.start(ONE, tmp_path / "a.db", pairing=True)
    await recorder.next(QrCode, ONE)
    await engine.request_pairing_code(ONE, SALON)
    assert (await recorder.next(PairingCodeFailed, ONE)).code == "rate_limited"
    engine.scan(ONE, SALON)
    engine.script.send_failures.append(("refused: 463", True))
    await engine.send(ONE, "1", CLIENT, "text")
    assert (await recorder.next(SendFailed, ONE)).permanent
    engine.script.logout_failure = "no answer"
    with pytest.raises(EngineError):
        await engine.logout(ONE)
    engine.script.connect_failure = ("no such host", False)
    await engine.start(ONE, tmp_path / "a.db", pairing=False)
    assert (await recorder.next(ConnectFailed, ONE)).reason == "no such host"


async def test_a_line_that_stays_away_is_given_up(
    engine: SimulatedEngine, recorder: EventRecorder, tmp_path: Path
) -> None:
    await link(engine, recorder, tmp_path / "a.db")
    engine.drop(ONE, back_after=None)
    await recorder.next(Disconnected, ONE)
    await engine.send(ONE, "1", CLIENT, "text")
    assert (await recorder.next(SendFailed, ONE)).error.startswith("not_connected:")
    await engine.check_numbers(ONE, "2", [CLIENT])
    assert (await recorder.next(NumbersChecked, ONE)).error
    assert not (await recorder.next(ConnectFailed, ONE)).permanent
    await recorder.next(Stopped, ONE)


async def test_a_device_removed_while_the_engine_was_away_is_logged_out_at_the_next_start(
    engine: SimulatedEngine, recorder: EventRecorder, tmp_path: Path
) -> None:
    store, copy = tmp_path / "a.db", tmp_path / "copy.db"
    await link(engine, recorder, store)
    copy.write_bytes(store.read_bytes())
    engine.log_out(ONE)
    await recorder.next(Stopped, ONE)
    await engine.start(ONE, copy, pairing=False)
    await recorder.next(LoggedOut, ONE)
    await recorder.next(Stopped, ONE)


async def test_a_dying_shard_takes_all_its_sessions_along(
    engine: SimulatedEngine, recorder: EventRecorder, tmp_path: Path
) -> None:
    await link(engine, recorder, tmp_path / "a.db", ONE)
    await link(engine, recorder, tmp_path / "b.db", TWO, CLIENT)
    assert engine.kill_host(ONE) == [ONE, TWO]
    while not (exited := await recorder.next(HostExited)).sessions:
        continue
    assert exited.sessions == [ONE, TWO]
    assert not engine.owns(TWO)


async def test_a_message_may_come_from_a_lid_alone(
    engine: SimulatedEngine, recorder: EventRecorder, tmp_path: Path
) -> None:
    await link(engine, recorder, tmp_path / "a.db")
    engine.incoming(ONE, None, note="image")
    received = await recorder.next(Incoming, ONE)
    assert (received.phone, received.text, received.note) == (None, None, "image")
    assert received.lid


async def test_a_login_changes_the_key_store(
    engine: SimulatedEngine, recorder: EventRecorder, tmp_path: Path
) -> None:
    store = tmp_path / "a.db"
    await link(engine, recorder, store)
    before = store.read_bytes()
    engine.drop(ONE)
    await recorder.next(Connected, ONE)
    assert store.read_bytes() != before


async def test_nothing_moves_after_a_stop(
    engine: SimulatedEngine, recorder: EventRecorder, tmp_path: Path
) -> None:
    await engine.start(ONE, tmp_path / "a.db", pairing=True)
    await engine.stop(ONE)
    await recorder.next(Stopped, ONE)
    for _ in range(5):
        await asyncio.sleep(0)  # Whatever was due runs now.
    assert recorder.count(QrCode) == 0
