"""The real library in real processes: what only processes can do."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.whatsapp import SandboxWhatsApp
from tests.processes import is_running
from whatsapp.engine import EngineError
from whatsapp.engine.events import (
    Banned,
    ClientOutdated,
    Connected,
    ConnectFailed,
    Disconnected,
    HostExited,
    HostStarted,
    LoggedOut,
    PairingEnded,
    QrCode,
    SendFailed,
    Sent,
    Stopped,
)
from whatsapp.engine.supervisor.slot import Phase

from .engines import CLIENT, SALON, RealHarness
from .run_engine import kill, run_engine

ONE, TWO = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


async def until(condition: Callable[[], object], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # what is waited for happens in other processes
            await asyncio.sleep(0.02)


async def test_two_processes_are_never_linked_at_once(real: RealHarness) -> None:
    await real.link(ONE)
    assert real.sandbox.state()["most_at_once"] == {f"{SALON}:1": 1}


async def test_a_lock_that_the_engine_was_given_is_held_until_its_last_host_is_gone(
    make: Callable[..., RealHarness], tmp_path: Path
) -> None:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    harness = make(held_open=lock)
    await harness.linked(ONE)
    os.close(lock)  # as the end of the pool's own process would

    def can_be_taken() -> bool:
        other = os.open(tmp_path / "lock", os.O_RDWR)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(other)
        return True

    assert not can_be_taken()
    hosts = [host.pid for host in harness.engine.hosts()]
    assert hosts
    await harness.engine.close()
    await until(can_be_taken)
    assert not any(map(is_running, hosts))


async def test_messages_given_during_the_move_are_sent_from_the_shard(
    make: Callable[..., RealHarness],
) -> None:
    harness = make(settle=0.5)
    await harness.engine.start(ONE, harness.store(ONE), pairing=True)
    await harness.scan(ONE, SALON, (await harness.recorder.next(QrCode, ONE)).text)
    await harness.recorder.next(Connected, ONE)
    await harness.engine.send(ONE, "early", CLIENT, "text")
    await harness.recorder.next(Connected, ONE)
    assert (await harness.recorder.next(Sent, ONE)).ref == "early"


async def test_messages_that_wait_fail_when_the_session_is_stopped(make: Callable[..., RealHarness]) -> None:
    harness = make(settle=30)
    await harness.engine.start(ONE, harness.store(ONE), pairing=True)
    await harness.scan(ONE, SALON, (await harness.recorder.next(QrCode, ONE)).text)
    await harness.recorder.next(Connected, ONE)
    await harness.engine.send(ONE, "early", CLIENT, "text")
    await harness.engine.stop(ONE)
    failed = await harness.recorder.next(SendFailed, ONE)
    assert (failed.ref, failed.permanent) == ("early", False)
    assert failed.error.startswith("not_connected:")
    await harness.recorder.next(Stopped, ONE)


async def test_a_pairing_session_cannot_send(real: RealHarness) -> None:
    await real.engine.start(ONE, real.store(ONE), pairing=True)
    with pytest.raises(EngineError):
        await real.engine.send(ONE, "1", CLIENT, "text")


async def test_a_full_shard_is_not_filled_further(make: Callable[..., RealHarness]) -> None:
    harness = make(shard_size=1)
    await harness.link(ONE, SALON)
    await harness.link(TWO, CLIENT)
    assert [(host.kind, host.sessions) for host in harness.engine.hosts()] == [("shard", 1), ("shard", 1)]


async def test_stopping_one_session_leaves_its_neighbour_alone(real: RealHarness) -> None:
    await real.linked(ONE, SALON)
    await real.linked(TWO, CLIENT)
    await real.engine.stop(ONE)
    await real.engine.send(TWO, "1", SALON, "text")
    await real.recorder.next(Sent, TWO)
    assert len(real.sandbox.state()["linked"]) == 1
    assert real.recorder.count(Disconnected) == 0


async def test_a_spare_host_is_kept_ready(make: Callable[..., RealHarness]) -> None:
    harness = make(spare_hosts=1)
    first = await harness.recorder.next(HostStarted)
    await harness.engine.start(ONE, harness.store(ONE), pairing=True)
    await harness.recorder.next(QrCode, ONE)
    assert harness.pid_of(ONE) == first.pid
    await until(lambda: "spare" in [host.kind for host in harness.engine.hosts()])


async def test_pairing_attempts_take_turns(make: Callable[..., RealHarness]) -> None:
    harness = make(pairings_at_once=1)
    for session in (ONE, TWO):
        await harness.engine.start(session, harness.store(session), pairing=True)
    assert len(harness.engine.hosts()) <= 1
    for session in (ONE, TWO):
        await harness.recorder.next(QrCode, session)


async def test_a_pairing_attempt_waits_for_the_processor_not_for_whatsapps_answer_to_another(
    make: Callable[..., RealHarness],
) -> None:
    harness = make(pairings_at_once=1)
    harness.sandbox.fault("slow", seconds=10)
    for session in (ONE, TWO):
        await harness.engine.start(session, harness.store(session), pairing=True)
    await until(lambda: len(harness.engine.hosts()) == 2)
    assert harness.recorder.count(QrCode) == 0


async def test_a_pairing_attempt_can_be_stopped_before_its_turn(make: Callable[..., RealHarness]) -> None:
    harness = make(pairings_at_once=1)
    for session in (ONE, TWO):
        await harness.engine.start(session, harness.store(session), pairing=True)
    await harness.engine.stop(TWO)
    await harness.recorder.next(QrCode, ONE)
    assert [host.kind for host in harness.engine.hosts()] == ["pairing"]


async def test_a_hanging_host_is_killed_for_want_of_a_heartbeat(make: Callable[..., RealHarness]) -> None:
    harness = make(ping_interval=0.2, ping_timeout=2.0)
    await harness.linked(ONE)
    pid = harness.pid_of(ONE)
    os.kill(pid, signal.SIGSTOP)
    exited = await harness.recorder.next(HostExited)
    while not exited.sessions:
        exited = await harness.recorder.next(HostExited)
    assert (exited.pid, exited.reason, exited.sessions) == (pid, "no heartbeat", [ONE])
    assert not is_running(pid)


async def test_a_session_in_a_hanging_host_is_stopped_all_the_same(make: Callable[..., RealHarness]) -> None:
    harness = make(stop_timeout=0.5)
    await harness.linked(ONE)
    pid = harness.pid_of(ONE)
    os.kill(pid, signal.SIGSTOP)
    await harness.engine.stop(ONE)
    assert not is_running(pid)
    await harness.recorder.next(Stopped, ONE)


async def test_a_caller_that_is_cancelled_does_not_keep_a_session_from_ending(
    make: Callable[..., RealHarness],
) -> None:
    harness = make(stop_timeout=1.0)
    await harness.linked(ONE)
    os.kill(harness.pid_of(ONE), signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(harness.engine.stop(ONE), 0.1)
    await asyncio.wait_for(harness.engine.stop(ONE), 60)
    assert not harness.engine.owns(ONE)


async def test_a_start_that_is_cancelled_can_be_stopped(real: RealHarness) -> None:
    start = asyncio.create_task(real.engine.start(ONE, real.store(ONE), pairing=True))
    await asyncio.sleep(0)
    start.cancel()
    await asyncio.wait_for(real.engine.stop(ONE), 60)
    await real.recorder.next(Stopped, ONE)
    assert not real.engine.owns(ONE)
    await until(lambda: not real.engine.hosts())


async def test_a_store_that_loses_its_device_at_the_last_moment_shows_no_code(
    make: Callable[..., RealHarness], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library then begins a pairing attempt that it cannot end: the shard is replaced."""
    harness = make(maintenance_interval=0.2)
    await harness.linked(TWO)
    shard = harness.pid_of(TWO)
    monkeypatch.setattr("whatsapp.engine.supervisor.placement.store_problem", lambda _path: None)
    await harness.engine.start(ONE, harness.store(ONE), pairing=False)
    assert (await harness.recorder.next(ConnectFailed, ONE)).permanent
    await harness.recorder.next(Stopped, ONE)
    assert not harness.recorder.count(QrCode)
    await until(lambda: not is_running(shard))
    await harness.engine.send(TWO, "1", CLIENT, "text")
    await harness.recorder.next(Sent, TWO)


async def test_hosts_tell_what_they_cost(make: Callable[..., RealHarness]) -> None:
    harness = make(ping_interval=0.1)
    await harness.linked(ONE)
    await until(
        lambda: all(host.rss_bytes > 30_000_000 and host.threads > 3 for host in harness.engine.hosts())
    )


async def test_an_old_shard_hands_its_sessions_on(make: Callable[..., RealHarness]) -> None:
    harness = make(host_max_starts=1, maintenance_interval=0.2)
    await harness.linked(ONE)
    old = harness.pid_of(ONE)
    await harness.recorder.next(Connected, ONE)
    assert harness.pid_of(ONE) != old
    await until(lambda: not is_running(old))
    assert harness.recorder.count(Disconnected) == harness.recorder.count(Stopped) == 0
    assert harness.sandbox.state()["most_at_once"] == {f"{SALON}:1": 1}


async def test_messages_sent_while_shards_are_replaced_arrive_once_and_in_order(
    make: Callable[..., RealHarness],
) -> None:
    harness = make(host_max_starts=1, maintenance_interval=0.05)
    await harness.linked(ONE)
    harness.sandbox.fault("slow", SALON, seconds=0.2)
    first, texts = harness.pid_of(ONE), [f"text {number}" for number in range(8)]
    for text in texts:
        await harness.engine.send(ONE, text, CLIENT, text)
        await harness.recorder.next(Sent, ONE, timeout=60)
    assert harness.pid_of(ONE) != first
    assert harness.recorder.count(SendFailed) == 0
    harness.expect_texts(*texts)


async def test_a_message_in_flight_when_its_shard_dies_while_being_replaced_is_answered(
    make: Callable[..., RealHarness],
) -> None:
    harness = make(host_max_starts=1, maintenance_interval=0.5)
    await harness.linked(ONE)
    harness.sandbox.fault("silent", SALON, seconds=60)
    await harness.engine.send(ONE, "1", CLIENT, "text")
    slot = harness.engine._registry.slots[ONE]
    await until(lambda: slot.phase is Phase.MOVING)
    harness.sandbox.fault("clear")
    os.kill(harness.pid_of(ONE), signal.SIGKILL)
    assert (await harness.recorder.next(SendFailed, ONE)).error.startswith("timeout")
    await harness.recorder.next(Connected, ONE)


@pytest.mark.parametrize(
    ("reason", "expected"), [(401, LoggedOut), (402, Banned), (403, LoggedOut), (405, ClientOutdated)]
)
async def test_a_login_that_is_refused_for_good_stops(
    real: RealHarness, reason: int, expected: type[object]
) -> None:
    await real.linked(ONE)
    await real.engine.stop(ONE)
    real.sandbox.fault("failure", SALON, reason=reason)
    await real.engine.start(ONE, real.store(ONE), pairing=False)
    await real.recorder.next(expected, ONE)
    await real.recorder.next(Stopped, ONE)
    assert not real.engine.owns(ONE)


async def test_a_server_that_is_busy_is_tried_again_by_the_library(real: RealHarness) -> None:
    await real.linked(ONE)
    real.sandbox.fault("failure", SALON, reason=503)
    await real.drop(ONE)
    await real.recorder.next(Disconnected, ONE)
    await real.recorder.next(Connected, ONE)


async def test_a_line_that_does_not_come_back_is_given_up(make: Callable[..., RealHarness]) -> None:
    harness = make(reconnect_grace=0.5)
    await harness.linked(ONE)
    harness.sandbox.fault("refuse", seconds=60)
    await harness.drop(ONE)
    await harness.recorder.next(Disconnected, ONE)
    assert not (await harness.recorder.next(ConnectFailed, ONE)).permanent
    await harness.recorder.next(Stopped, ONE)


async def test_an_unreachable_server_fails_the_start(real: RealHarness) -> None:
    real.sandbox.fault("refuse", seconds=60)
    await real.engine.start(ONE, real.store(ONE), pairing=True)
    failed = await real.recorder.next(ConnectFailed, ONE)
    assert not failed.permanent
    await real.recorder.next(Stopped, ONE)
    assert [host for host in real.engine.hosts() if host.kind == "pairing"] == []


async def test_a_pairing_line_that_is_cut_ends_the_attempt(real: RealHarness) -> None:
    await real.engine.start(ONE, real.store(ONE), pairing=True)
    await real.recorder.next(QrCode, ONE)
    real.sandbox.fault("drop")
    ended = await real.recorder.next(PairingEnded, ONE)
    assert ended.reason == "error"
    await real.recorder.next(Stopped, ONE)


async def test_a_message_to_a_silent_server_does_not_stop_the_neighbours(real: RealHarness) -> None:
    await real.linked(ONE, SALON)
    await real.linked(TWO, CLIENT)
    real.sandbox.fault("silent", SALON, seconds=60)
    await real.engine.send(ONE, "lost", CLIENT, "text")
    await real.engine.stop(TWO)
    await real.engine.start(TWO, real.store(TWO), pairing=False)
    await real.recorder.next(Stopped, TWO)
    await real.recorder.next(Connected, TWO)
    assert real.engine.owns(ONE)


async def test_hosts_end_with_their_supervisor(sandbox: SandboxWhatsApp, tmp_path: Path) -> None:
    """A pool that is killed leaves nothing behind that could go on talking to WhatsApp."""
    await kill(*await run_engine(sandbox, ONE, tmp_path / "a.db", pairing=True))


async def test_a_host_that_is_paused_ends_with_its_supervisor(
    sandbox: SandboxWhatsApp, tmp_path: Path
) -> None:
    process, hosts = await run_engine(sandbox, ONE, tmp_path / "a.db", pairing=True)
    for host in hosts:
        os.kill(host, signal.SIGSTOP)
    await kill(process, hosts)


async def test_secrets_do_not_reach_the_log(real: RealHarness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "whatsapp.engine")
    await real.engine.start(ONE, real.store(ONE), pairing=True)
    qr = await real.recorder.next(QrCode, ONE)
    await real.engine.request_pairing_code(ONE, SALON)
    await real.scan(ONE, SALON, qr.text)
    await real.recorder.next(Connected, ONE)
    secrets = [*qr.text.partition("#")[2].split(","), SALON]
    assert not [secret for secret in secrets if len(secret) > 3 and secret in caplog.text]


async def test_key_stores_are_private(real: RealHarness) -> None:
    await real.linked(ONE)
    assert real.store(ONE).stat().st_mode & 0o077 == 0


async def test_a_shard_starts_many_sessions_at_once(real: RealHarness) -> None:
    sessions = [str(uuid.UUID(int=100 + number)) for number in range(4)]
    for number, session in enumerate(sessions):
        await real.link(session, f"7999100{number:04}")
    await asyncio.gather(*(real.engine.stop(session) for session in sessions))
    await until(lambda: not real.sandbox.state()["linked"])
    await asyncio.gather(*(real.engine.start(s, real.store(s), pairing=False) for s in sessions))
    await until(lambda: len(real.sandbox.state()["linked"]) == len(sessions))
    assert [(host.kind, host.sessions) for host in real.engine.hosts()] == [("shard", len(sessions))]
