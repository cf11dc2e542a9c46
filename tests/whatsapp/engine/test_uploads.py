"""Uploads of the real library that fail, hang or are cut short: nobody waits, nothing goes out twice."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.whatsapp import SandboxWhatsApp
from whatsapp.engine import file_passing
from whatsapp.engine.commands import SendMedia
from whatsapp.engine.events import Connected, HostExited, QrCode, SendFailed, Sent, Stopped
from whatsapp.engine.outgoing_media import MAX_MEDIA_BYTES

from .engines import CLIENT, SALON, RealHarness
from .test_sending_media import PICTURE, received
from .test_supervisor import until

ONE, TWO = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
WORDS = "and words still go"


def happened(sandbox: SandboxWhatsApp, kind: str) -> int:
    return sum(event["kind"] == kind for event in sandbox.journal())


async def hanging(harness: RealHarness, message: SendMedia = PICTURE) -> None:
    """Let the media host hang with the file."""
    harness.sandbox.fault("media", fault="hang")
    await harness.engine.send_media(message)
    await until(lambda: happened(harness.sandbox, "media_hangs"))


async def test_an_upload_that_fails_sends_nothing_and_can_be_tried_again(real: RealHarness) -> None:
    await real.linked(ONE)
    real.sandbox.fault("media", fault="unavailable")
    await real.engine.send_media(PICTURE)
    failure = await real.recorder.next(SendFailed, ONE)
    assert (failure.ref, failure.permanent) == (PICTURE.ref, False)
    assert failure.error.startswith("upload_failed: ") and "503" in failure.error
    assert real.received_files() == []
    await real.engine.send_media(PICTURE)
    await real.recorder.next(Sent, ONE)
    assert real.received_files() == [received(PICTURE)]


async def test_the_right_to_upload_is_not_in_the_words_of_a_failure(real: RealHarness) -> None:
    await real.linked(ONE)
    real.sandbox.fault("refuse", seconds=60)
    await real.engine.send_media(PICTURE)
    failure = await real.recorder.next(SendFailed, ONE)
    assert failure.error.startswith("upload_failed: ")
    assert real.sandbox.hub.media_token not in failure.error and "mms" not in failure.error


async def test_an_upload_that_hangs_is_given_up_and_nobody_waits_for_it(
    make: Callable[..., RealHarness],
) -> None:
    harness = make(upload_timeout=6.0)
    await harness.linked(ONE, SALON)
    await harness.linked(TWO, CLIENT)
    await hanging(harness)
    await harness.engine.send(ONE, "of the same session", CLIENT, WORDS)
    assert (await harness.recorder.next(Sent, ONE)).ref == "of the same session"
    await harness.engine.send_media(replace(PICTURE, session=TWO, phone=SALON))
    await harness.recorder.next(Sent, TWO)
    await harness.engine.stop(TWO)
    await harness.engine.start(TWO, harness.store(TWO), pairing=False)
    await harness.recorder.next(Connected, TWO)
    await until(lambda: harness.recorder.count(SendFailed))
    [failure] = [event for event in harness.recorder.everything if isinstance(event, SendFailed)]
    assert (failure.ref, failure.permanent) == (PICTURE.ref, False)
    assert failure.error.startswith("upload_failed: ")
    await harness.engine.send_media(PICTURE)
    await harness.recorder.next(Sent, ONE)
    assert harness.received_files() == [received(PICTURE)]


async def test_a_host_that_is_killed_during_an_upload_has_sent_nothing(real: RealHarness) -> None:
    await real.linked(ONE)
    await hanging(real)
    await real.kill_host(ONE)
    failure = await real.recorder.next(SendFailed, ONE)
    assert (failure.ref, failure.permanent) == (PICTURE.ref, False)
    assert failure.error.startswith("not_connected: ")
    while ONE not in (await real.recorder.next(HostExited)).sessions:
        continue
    await real.engine.start(ONE, real.store(ONE), pairing=False)
    await real.recorder.next(Connected, ONE)
    await real.engine.send_media(PICTURE)
    await real.recorder.next(Sent, ONE)
    assert real.received_files() == [received(PICTURE)]


async def test_a_session_that_is_stopped_during_an_upload_sends_nothing(real: RealHarness) -> None:
    await real.linked(ONE)
    await hanging(real)
    await real.engine.stop(ONE)
    assert (await real.recorder.next(SendFailed, ONE)).error.startswith("not_connected: ")
    await real.recorder.next(Stopped, ONE)
    assert real.received_files() == []


async def test_a_shard_that_is_replaced_during_an_upload_says_that_nothing_went_out(
    make: Callable[..., RealHarness],
) -> None:
    harness = make(host_max_starts=1, maintenance_interval=0.2, answer_timeout=1.0)
    await harness.linked(ONE)
    harness.sandbox.fault("media", fault="hang", times=100)
    await harness.engine.send_media(PICTURE)
    assert (await harness.recorder.next(SendFailed, ONE)).error.startswith("not_connected: ")
    await harness.recorder.next(Connected, ONE)
    assert harness.received_files() == []


async def test_a_reference_that_is_being_sent_is_not_sent_beside_that(real: RealHarness) -> None:
    await real.linked(ONE)
    await real.engine.send_media(PICTURE)
    await real.engine.send_media(PICTURE)
    await real.engine.send(ONE, "2", CLIENT, WORDS)
    answers = [(await real.recorder.next(Sent, ONE)).ref for _ in range(2)]
    assert sorted(answers) == ["2", PICTURE.ref]
    await real.engine.stop(ONE)
    assert real.received_files() == [received(PICTURE)]


async def test_a_pool_that_was_killed_learns_from_the_next_run_what_was_acknowledged(
    make: Callable[..., RealHarness],
) -> None:
    first, second = make(), make()
    await first.linked(ONE)
    await first.engine.send_media(PICTURE)
    acknowledged = await first.recorder.next(Sent, ONE)
    await first.kill_host(ONE)
    while ONE not in (await first.recorder.next(HostExited)).sessions:
        continue
    await second.engine.start(ONE, second.store(ONE), pairing=False)
    await second.recorder.next(Connected, ONE)
    await second.engine.send_media(PICTURE)
    assert await second.recorder.next(Sent, ONE) == acknowledged
    assert second.received_files() == [received(PICTURE)]


async def test_a_file_given_before_the_session_is_in_its_shard_waits(
    make: Callable[..., RealHarness],
) -> None:
    harness = make(settle=0.5)
    await harness.engine.start(ONE, harness.store(ONE), pairing=True)
    await harness.scan(ONE, SALON, (await harness.recorder.next(QrCode, ONE)).text)
    await harness.recorder.next(Connected, ONE)
    await harness.engine.send_media(PICTURE)
    assert (await harness.recorder.next(Sent, ONE)).ref == PICTURE.ref
    assert harness.received_files() == [received(PICTURE)]


def open_files(pid: int) -> list[str]:
    return [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()]


async def test_nothing_of_a_file_stays_open(real: RealHarness) -> None:
    await real.linked(ONE)
    host = real.pid_of(ONE)
    for number in range(3):
        await real.engine.send_media(replace(PICTURE, ref=str(number)))
        await real.recorder.next(Sent, ONE)
    for process in (os.getpid(), host):
        assert not [name for name in open_files(process) if "memfd:media" in name]


def test_a_channel_that_is_not_read_refuses_instead_of_waiting() -> None:
    ours, theirs = file_passing.channel()
    with ours, theirs, pytest.raises(OSError):  # too many in flight, or no room for more
        while True:
            file_passing.send_file(ours, b"data")


def test_a_file_crosses_the_channel_whole_and_in_order() -> None:
    ours, theirs = file_passing.channel()
    files = [b"first", bytes(MAX_MEDIA_BYTES), b"third"]
    with theirs:
        with ours:
            for data in files:
                file_passing.send_file(ours, data)
        assert [file_passing.receive_file(theirs) for _ in files] == files
        with pytest.raises(OSError, match="no file"):
            file_passing.receive_file(theirs)
