"""Database work in threads, seen by those who are cancelled while they wait for it."""

import asyncio
import contextlib
import threading

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError, connection, connections

from config.shared.database import DedicatedThread, in_thread, on_live_connection
from config.shared.loop_connections import conninfo

# The threads keep connections of earlier tests, and look at them.
pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 60


async def test_a_cancellation_during_a_push_is_neither_swallowed_nor_ends_the_work() -> None:
    pushing, let_go, ended = asyncio.Event(), asyncio.Event(), threading.Event()

    async def push() -> None:
        """A hint sent from inside, by the loop that waits for the thread; it ends well when cancelled."""
        pushing.set()
        with contextlib.suppress(asyncio.CancelledError):
            await let_go.wait()

    def work() -> None:
        async_to_sync(push)()
        ended.set()

    caller = asyncio.create_task(in_thread(work))
    async with asyncio.timeout(PATIENCE):
        await pushing.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    assert not ended.is_set()
    let_go.set()
    assert await asyncio.to_thread(ended.wait, PATIENCE)


async def test_a_dedicated_thread_keeps_its_connection_until_it_is_closed() -> None:
    thread = DedicatedThread("test")

    def opened() -> int:
        connection.ensure_connection()
        return id(connection.connection)

    first = await thread.run(opened)
    assert await thread.run(opened) == first
    kept = await thread.run(lambda: connections["default"])
    thread.close()
    async with asyncio.timeout(PATIENCE):
        while kept.connection is not None:
            await asyncio.sleep(0.01)


async def test_what_fails_after_its_caller_was_cancelled_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    began, go_on = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert go_on.wait(PATIENCE)
        raise ValueError("too late")

    caller = asyncio.create_task(in_thread(work))
    assert await asyncio.to_thread(began.wait, PATIENCE)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    async with asyncio.timeout(PATIENCE):
        while "too late" not in caplog.text:
            await asyncio.sleep(0.01)


def lose_connection() -> None:
    """What a restart of the database does to a connection that is kept."""
    connection.ensure_connection()
    with connection.cursor() as cursor, contextlib.suppress(OperationalError):
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def one() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="a file cannot hang up")
def test_work_on_a_connection_that_was_lost_meanwhile_is_done_on_a_new_one() -> None:
    lose_connection()
    with pytest.raises(OperationalError):
        one()
    assert on_live_connection(one) == 1


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="a file cannot hang up")
def test_work_that_fails_on_a_new_connection_is_not_tried_for_ever() -> None:
    calls = []

    def fail() -> None:
        calls.append(1)
        lose_connection()
        one()

    connection.close()
    with pytest.raises(OperationalError):
        on_live_connection(fail)
    assert len(calls) == 1
    connection.ensure_connection()
    with pytest.raises(OperationalError):
        on_live_connection(fail)
    assert len(calls) == 3
    connection.close()


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="a file cannot hang up")
def test_postgresql_ends_a_transaction_of_ours_that_has_gone_silent() -> None:
    """Whoever is paused or cut off in the midst of one keeps its locks for seconds, not for hours."""
    expected = {
        "idle_in_transaction_session_timeout": "20s",
        "tcp_user_timeout": "20000",  # milliseconds; the socket's own value, as the next three
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "2",
    }
    with connection.cursor() as cursor, psycopg.connect(conninfo()) as listening:
        for name, value in expected.items():
            for asked in (cursor, listening.cursor()):
                asked.execute(f"SHOW {name}")
                assert asked.fetchone() == (value,), name
