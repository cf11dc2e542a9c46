"""Connections to PostgreSQL that an event loop keeps and reads itself, without a thread.

psycopg's own asynchronous calls register with the event loop anew for each wait, which is an eighth of what a
notification costs the process that hears it (docs/performance.md).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import psycopg
import structlog
from django.db import connection
from psycopg.pq.abc import PGconn

log = structlog.get_logger("database")

# Of Django's connection parameters, those that libpq knows.
LIBPQ = (
    *("dbname", "user", "password", "host", "port", "sslmode", "sslrootcert"),
    *("connect_timeout", "tcp_user_timeout", "keepalives_idle", "options"),
)
RETRY_SECONDS = 1.0


def conninfo(*, options: str = "") -> str:
    """How libpq connects to Django's PostgreSQL; `options` are more of the server's: `-c name=value`."""
    parameters = connection.get_connection_params()
    known = {name: parameters[name] for name in LIBPQ if parameters.get(name) is not None}
    if options:
        known["options"] = f"{known.get('options', '')} {options}".strip()
    return psycopg.conninfo.make_conninfo(**known)


@contextlib.asynccontextmanager
async def connected(*, options: str = "") -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection for the length of the block; each statement is a transaction of its own."""
    opened = await psycopg.AsyncConnection.connect(conninfo(options=options), autocommit=True)
    try:
        yield opened
    finally:
        await opened.close()


class LoopConnection:
    """A connection that the running event loop reads: it calls `handle` whenever something has come.

    It is lost when it ends or `handle` fails.
    """

    def __init__(self, pgconn: PGconn, handle: Callable[[], None]) -> None:
        self._pgconn = pgconn
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[Exception] = self._loop.create_future()
        self._socket = pgconn.socket
        self._loop.add_reader(self._socket, self._read)

    async def until_lost(self) -> NoReturn:
        """Raises what it was lost by."""
        try:
            raise await self._lost
        finally:
            self._ignore()

    def lose(self, error: Exception) -> None:
        """Give it up."""
        self._ignore()
        if not self._lost.done():
            self._lost.set_result(error)

    def flush(self) -> None:
        """Send what libpq holds to be sent: at once, or when the server takes more."""
        if self._socket < 0:
            return
        try:
            if self._pgconn.flush():
                self._loop.add_writer(self._socket, self.flush)
            else:
                self._loop.remove_writer(self._socket)
        except psycopg.OperationalError as error:
            self.lose(error)

    def _read(self) -> None:
        try:
            self._pgconn.consume_input()
            self._handle()
        except Exception as error:  # noqa: BLE001  the loop would only log it
            self.lose(error)

    def _ignore(self) -> None:
        # At once: libpq closes the socket of a lost connection, and its number may be another one's then.
        if self._socket >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = -1


async def for_ever(work: Callable[[], Awaitable[NoReturn]], *, lost: str, **about: str) -> NoReturn:
    """Do `work` again, and log `lost`, whenever it ended: whatever it was, nobody else would begin anew."""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001
            log.warning(lost, **about, error=repr(error))
            await asyncio.sleep(RETRY_SECONDS)
