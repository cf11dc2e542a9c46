"""One statement, executed again and again from an event loop: many under way at once, no thread between.

libpq's pipeline mode (PostgreSQL's documentation, "Pipeline Mode"): a statement is sent while the answers to
those before it are on their way. Each is committed by itself. Two wake-ups fewer than by a thread, and
nothing of what Django and psycopg do for each (docs/performance.md).
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from psycopg import OperationalError
from psycopg.errors import LockNotAvailable
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from config.shared import loop_connections
from config.shared.loop_connections import LoopConnection

PREPARED = b"statement"
UNDERWAY_MOST = 64
ANSWER_SECONDS = 5.0  # for one statement; a server that takes longer is given up
LOCKED = (LockNotAvailable.sqlstate or "").encode()


@dataclass(slots=True)
class _Underway:
    """A statement that was sent; `future` gets what `execute` returns."""

    future: "asyncio.Future[bool]"
    found: bool = False  # it has returned a row; it is not committed before the pipeline's next sync


class Pipeline:
    """Executes `statement` on a connection of its own, with these `options` of the server (`-c name=value`).

    It only tries: whoever hears that it did not succeed executes the statement in the usual way, which waits
    for a locked row, and says what is wrong. Connects, and connects again, by itself; before it is `ready`,
    nothing succeeds.
    """

    def __init__(self, statement: str, *, name: str, options: str) -> None:
        self._name = name
        self._statement = statement.encode()
        self._options = options
        self._pgconn: PGconn
        self._connection: LoopConnection
        self.ready = False
        self._underway: deque[_Underway] = deque()
        self.task = asyncio.create_task(self._run(), name=f"pipeline:{name}")

    async def execute(self, values: Sequence[str]) -> bool:
        """True when it has returned a row and is committed; otherwise it may or may not have been executed.

        Not when it has found no row, when the row is locked, and when there is no connection, or it is lost
        or too slow.
        """
        if not self.ready or len(self._underway) >= UNDERWAY_MOST:
            return False
        sent = _Underway(asyncio.get_running_loop().create_future())
        try:
            self._pgconn.send_query_prepared(PREPARED, [value.encode() for value in values])
            self._send(sent)
            async with asyncio.timeout(ANSWER_SECONDS):
                return await sent.future
        except (OperationalError, TimeoutError) as error:
            self._lose(error)
            return False

    async def _run(self) -> None:
        await loop_connections.for_ever(self._serve, lost="pipeline lost", pipeline=self._name)

    async def _serve(self) -> NoReturn:
        async with loop_connections.connected(options=self._options) as opened:
            self._pgconn = opened.pgconn
            self._connection = LoopConnection(self._pgconn, self._read)
            self._pgconn.nonblocking = 1
            self._pgconn.enter_pipeline_mode()
            self._pgconn.send_prepare(PREPARED, self._statement)
            self._send(_Underway(asyncio.get_running_loop().create_future()))
            try:
                await self._connection.until_lost()
            finally:
                self.ready = False
                while self._underway:
                    self._settle(succeeded=False)

    def _send(self, underway: _Underway) -> None:
        """End the transaction of what was just sent, and send it all."""
        self._pgconn.pipeline_sync()
        self._underway.append(underway)
        self._connection.flush()

    def _read(self) -> None:
        while self._underway and not self._pgconn.is_busy():
            if result := self._pgconn.get_result():
                self._note(result)

    def _note(self, result: PGresult) -> None:
        first = self._underway[0]
        if result.status == ExecStatus.PIPELINE_SYNC:
            self._settle(succeeded=first.found)
        elif result.status == ExecStatus.TUPLES_OK:
            first.found = result.ntuples > 0
        elif result.status == ExecStatus.COMMAND_OK:
            self.ready = True  # it is prepared
        else:
            first.found = False
            if result.error_field(DiagnosticField.SQLSTATE) != LOCKED:
                self._lose(OperationalError(result.get_error_message()))

    def _settle(self, *, succeeded: bool) -> None:
        underway = self._underway.popleft()
        if not underway.future.done():
            underway.future.set_result(succeeded)

    def _lose(self, error: Exception) -> None:
        """Give the connection up; what is under way on it is settled as not succeeded."""
        self.ready = False
        self._connection.lose(error)
