"""The lock around the library."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from whatsapp.engine.host.lock import LibraryLock

SOON = 5.0


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def lock() -> LibraryLock:
    return LibraryLock(settle=60)


def test_shared_holders_do_not_wait_for_each_other(lock: LibraryLock) -> None:
    both = threading.Barrier(2, timeout=SOON)

    def hold() -> None:
        with lock.shared():
            both.wait()

    threads = [in_thread(hold), in_thread(hold)]
    for thread in threads:
        thread.join(SOON)
    assert not both.broken


def test_an_exclusive_holder_waits_for_shared_ones(lock: LibraryLock) -> None:
    entered = threading.Event()

    def write() -> None:
        with lock.exclusive():
            entered.set()

    with lock.shared():
        in_thread(write)
        assert not entered.wait(0.1)
    assert entered.wait(SOON)


def test_shared_holders_wait_for_an_exclusive_one(lock: LibraryLock) -> None:
    entered = threading.Event()

    def read() -> None:
        with lock.shared():
            entered.set()

    ticket = lock.acquire_exclusive()
    in_thread(read)
    assert not entered.wait(0.1)
    lock.release_exclusive(ticket)
    assert entered.wait(SOON)


def test_a_shared_holder_that_only_waits_for_the_network_is_not_waited_for() -> None:
    lock = LibraryLock(settle=0.05)
    with lock.shared():
        ticket = lock.acquire_exclusive()
        lock.release_exclusive(ticket)


def test_a_waiting_start_is_not_overtaken_by_later_sends(lock: LibraryLock) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def write() -> None:
        waiting.set()
        with lock.exclusive():
            order.append("start")

    def read() -> None:
        with lock.shared():
            order.append("send")

    with lock.shared():
        writer = in_thread(write)
        assert waiting.wait(SOON)
        while not lock._queue:
            continue
        reader = in_thread(read)
        reader.join(0.1)
    writer.join(SOON)
    reader.join(SOON)
    assert order == ["start", "send"]


def test_another_thread_may_release_and_a_second_release_does_nothing(lock: LibraryLock) -> None:
    ticket = lock.acquire_exclusive()
    in_thread(lambda: lock.release_exclusive(ticket)).join(SOON)
    other = lock.acquire_exclusive()
    lock.release_exclusive(ticket)
    entered = threading.Event()

    def read() -> None:
        with lock.shared():
            entered.set()

    in_thread(read)
    assert not entered.wait(0.1)
    lock.release_exclusive(other)
    assert entered.wait(SOON)
