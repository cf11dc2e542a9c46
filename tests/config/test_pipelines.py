"""Statements through a pipeline: each gets its own answer, or none, whatever happens to the connection."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from django.db import connection

from config.shared import loop_connections, pipelines
from config.shared.loop_connections import conninfo
from config.shared.pipelines import Pipeline
from tests.tcp_proxy import TcpProxy

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor == 'sqlite'", reason="PostgreSQL's own protocol"),
]
PATIENCE = 60
# $1 is the row; $2 is added to it, which may be no number; $3 is a word of any length.
STATEMENT = (
    "UPDATE pipeline_rows SET amount = amount + $2::int, note = $3::text WHERE id = $1::int RETURNING amount"
)
ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pipeline'"


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may be slow; the test of what is too slow sets its own."""
    monkeypatch.setattr(pipelines, "ANSWER_SECONDS", PATIENCE)


@pytest.fixture(autouse=True)
def rows() -> Iterator[psycopg.Connection]:
    """A table with the rows 1 to 9, whose amounts are 0; an amount above 99 is refused at the commit."""
    connection.ensure_connection()  # its parameters are those of the test's database
    with psycopg.connect(conninfo(), autocommit=True) as own:
        own.execute("DROP TABLE IF EXISTS pipeline_rows")
        own.execute(
            "CREATE TABLE pipeline_rows (id int PRIMARY KEY, amount int NOT NULL DEFAULT 0, note text)"
        )
        own.execute(
            "CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN IF NEW.amount > 99 THEN RAISE 'too much'; END IF; RETURN NEW; END $$"
        )
        own.execute(
            "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON pipeline_rows DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse()"
        )
        own.execute("INSERT INTO pipeline_rows (id) SELECT generate_series(1, 9)")
        yield own
        own.execute("DROP TABLE pipeline_rows")


@asynccontextmanager
async def running(statement: str = STATEMENT, *, lock_timeout: str = "100ms") -> AsyncIterator[Pipeline]:
    options = f"-c application_name=pipeline -c lock_timeout={lock_timeout}"
    pipeline = Pipeline(statement, name="test", options=options)
    try:
        yield pipeline
    finally:
        pipeline.task.cancel()
        await asyncio.gather(pipeline.task, return_exceptions=True)


async def add(pipeline: Pipeline, row: int, amount: object = 1, note: str = "") -> bool:
    return await pipeline.execute([str(row), str(amount), note])


async def works(pipeline: Pipeline) -> None:
    """Wait until it executes statements (of row 9)."""
    async with asyncio.timeout(PATIENCE):
        while not await add(pipeline, 9):
            await asyncio.sleep(0.01)


def amounts(rows: psycopg.Connection) -> dict[int, int]:
    return dict(rows.execute("SELECT id, amount FROM pipeline_rows WHERE id < 9").fetchall())


async def test_each_statement_gets_its_own_answer(rows: psycopg.Connection) -> None:
    async with running() as pipeline:
        await works(pipeline)
        answers = await asyncio.gather(*(add(pipeline, row, row) for row in (1, 77, 2, 3, 78, 4)))
    assert answers == [True, False, True, True, False, True]
    assert amounts(rows) == {1: 1, 2: 2, 3: 3, 4: 4, 5: 0, 6: 0, 7: 0, 8: 0}


async def test_before_it_is_connected_nothing_is_executed(rows: psycopg.Connection) -> None:
    async with running() as pipeline:
        assert not await add(pipeline, 1)
    assert amounts(rows)[1] == 0


async def test_a_locked_row_holds_up_no_other_for_long(rows: psycopg.Connection) -> None:
    async with running() as pipeline:
        await works(pipeline)
        with psycopg.connect(conninfo()) as other:
            other.execute("SELECT FROM pipeline_rows WHERE id = 2 FOR UPDATE")
            answers = await asyncio.gather(*(add(pipeline, row) for row in (1, 2, 3)))
        assert answers == [True, False, True]
        assert await add(pipeline, 2), "the connection is the same"
    assert [amounts(rows)[row] for row in (1, 2, 3)] == [1, 1, 1]


@pytest.mark.parametrize("amount", ["no number", 100], ids=["refused at once", "refused at the commit"])
async def test_a_statement_that_fails_is_not_taken_for_executed(
    amount: object, rows: psycopg.Connection
) -> None:
    async with running() as pipeline:
        await works(pipeline)
        answers = [*await asyncio.gather(add(pipeline, 1), add(pipeline, 2, amount))]
        assert answers == [True, False]
        assert [amounts(rows)[row] for row in (1, 2)] == [1, 0]
        await works(pipeline)


async def test_what_is_under_way_when_the_server_hangs_up_was_not_executed(rows: psycopg.Connection) -> None:
    async with running(lock_timeout="10min") as pipeline:
        await works(pipeline)
        with psycopg.connect(conninfo()) as other:
            other.execute("SELECT FROM pipeline_rows WHERE id = 1 FOR UPDATE")
            waiting = [asyncio.create_task(add(pipeline, row)) for row in (1, 2)]
            await asyncio.sleep(0)
            rows.execute(ENDED)
            assert await asyncio.gather(*waiting) == [False, False]
        await works(pipeline)
        assert await add(pipeline, 1)
    assert [amounts(rows)[row] for row in (1, 2)] == [1, 0]


async def test_a_server_that_does_not_answer_is_given_up(
    rows: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = psycopg.conninfo.conninfo_to_dict(conninfo())
    with TcpProxy(str(there["host"]), int(str(there["port"]))) as proxy:

        def through_proxy(*, options: str = "") -> str:
            return psycopg.conninfo.make_conninfo(
                conninfo(options=options), host="127.0.0.1", port=proxy.port
            )

        monkeypatch.setattr(loop_connections, "conninfo", through_proxy)
        async with running() as pipeline:
            await works(pipeline)
            monkeypatch.setattr(pipelines, "ANSWER_SECONDS", 0.2)
            proxy.block()
            assert not any(await asyncio.gather(add(pipeline, 1), add(pipeline, 2)))
            assert not await add(pipeline, 3)
            proxy.unblock()
            monkeypatch.setattr(pipelines, "ANSWER_SECONDS", PATIENCE)
            await works(pipeline)
            assert await add(pipeline, 4)


async def test_who_no_longer_waits_takes_nobodys_answer(rows: psycopg.Connection) -> None:
    async with running() as pipeline:
        await works(pipeline)
        impatient = asyncio.create_task(add(pipeline, 1))
        others = [asyncio.create_task(add(pipeline, row)) for row in (77, 2)]
        await asyncio.sleep(0)
        impatient.cancel()
        assert await asyncio.gather(*others) == [False, True]
    assert amounts(rows)[1] == 1


async def test_what_the_server_does_not_take_at_once_is_sent_later(rows: psycopg.Connection) -> None:
    notes = ["x" * 4_000_000, "y" * 4_000_000, "z"]
    async with running() as pipeline:
        await works(pipeline)
        assert all(await asyncio.gather(*(add(pipeline, row, 1, note) for row, note in enumerate(notes, 1))))
    stored = rows.execute("SELECT note FROM pipeline_rows WHERE id < 4 ORDER BY id").fetchall()
    assert [note for (note,) in stored] == notes


async def test_no_more_than_a_bounded_number_is_under_way(rows: psycopg.Connection) -> None:
    async with running() as pipeline:
        await works(pipeline)
        answers = await asyncio.gather(*(add(pipeline, 1) for _ in range(3 * pipelines.UNDERWAY_MOST)))
    assert answers.count(True) == amounts(rows)[1] == pipelines.UNDERWAY_MOST


async def test_a_statement_that_postgresql_refuses_is_never_executed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running("UPDATE no_such_table SET amount = $1 RETURNING amount") as pipeline:
        async with asyncio.timeout(PATIENCE):
            while "no_such_table" not in caplog.text:
                assert not await pipeline.execute(["1"])
                await asyncio.sleep(0.01)
