"""How a host shares its memory and threads among uploads; the library is stood in for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from whatsapp.engine.commands import SendMedia
from whatsapp.engine.events import SendFailed
from whatsapp.engine.host import uploads
from whatsapp.engine.host.uploads import Uploads

from .test_sending_media import DOCUMENT


class SlowSession:
    """A session whose uploads wait until they are let go."""

    def __init__(self) -> None:
        self.said: SimpleQueue[Any] = SimpleQueue()
        self.begun: SimpleQueue[bytes] = SimpleQueue()
        self.let_go = threading.Event()
        self.emit = self.said.put

    @contextmanager
    def library(self) -> Iterator[Any]:
        yield SimpleNamespace(upload_file=self.upload)

    def upload(self, _kind: str, data: bytes) -> str:
        self.begun.put(data)
        self.let_go.wait(20)
        return "uploaded"

    def begin(self, by: Uploads, message: SendMedia) -> None:
        by.begin(self, message, self.said.put)  # type: ignore[arg-type]


@pytest.fixture
def session() -> Iterator[SlowSession]:
    slow = SlowSession()
    yield slow
    slow.let_go.set()


def test_files_that_do_not_fit_into_memory_together_take_turns(
    session: SlowSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", len(DOCUMENT.data))
    both = Uploads(seconds=20)
    session.begin(both, DOCUMENT)
    session.begun.get(timeout=60)
    session.begin(both, DOCUMENT)
    assert session.begun.empty()
    session.let_go.set()
    assert [session.said.get(timeout=60).file for _ in range(2)] == ["uploaded", "uploaded"]


def test_a_file_that_waits_for_its_turn_too_long_is_not_sent(
    session: SlowSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 1)
    short = Uploads(seconds=0.1)
    assert short._take_turn(1, ends=0)
    session.begin(short, DOCUMENT)
    failure = session.said.get(timeout=60)
    assert isinstance(failure, SendFailed) and failure.error.startswith("upload_failed: ")
    assert session.begun.empty()


def test_threads_that_hang_in_the_library_are_limited(
    session: SlowSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_THREADS", 1)
    short = Uploads(seconds=0.1)
    for _attempt in range(2):
        session.begin(short, DOCUMENT)
        assert isinstance(session.said.get(timeout=60), SendFailed)
    assert session.begun.get(timeout=60) and session.begun.empty()


def test_the_bytes_are_not_kept_after_the_upload(session: SlowSession) -> None:
    session.let_go.set()
    session.begin(Uploads(seconds=20), DOCUMENT)
    assert session.said.get(timeout=60).command.data == b""
