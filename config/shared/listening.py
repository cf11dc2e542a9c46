"""PostgreSQL's NOTIFY, heard by code of an event loop on a connection of its own."""

import asyncio
from collections.abc import Callable

import psycopg
import structlog
from django.db import connection

log = structlog.get_logger("hints")

# Of Django's connection parameters, those that libpq knows.
LIBPQ = (
    *("dbname", "user", "password", "host", "port", "sslmode", "sslrootcert"),
    *("connect_timeout", "tcp_user_timeout", "keepalives_idle", "options"),
)
RETRY_SECONDS = 1.0


def conninfo() -> str:
    """How libpq connects to Django's PostgreSQL."""
    parameters = connection.get_connection_params()
    known = {name: parameters[name] for name in LIBPQ if parameters.get(name) is not None}
    return psycopg.conninfo.make_conninfo(**known)


async def listen_for_ever(channel: str, handle: Callable[[str], None], resync: Callable[[], None]) -> None:
    """Call `handle` with each payload sent to `channel`; a connection that is lost is opened anew.

    Calls `resync` whenever it begins to listen: nobody has heard what was sent until then.
    """
    while True:
        try:
            await _listen(channel, handle, resync)
        except Exception as error:  # noqa: BLE001  whatever it was, nobody else would begin to listen again
            log.warning("listening connection lost", channel=channel, error=repr(error))
            await asyncio.sleep(RETRY_SECONDS)


async def _listen(channel: str, handle: Callable[[str], None], resync: Callable[[], None]) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo(), autocommit=True) as listening:
        await listening.execute(f"LISTEN {channel}")
        resync()
        async for notification in listening.notifies():
            handle(notification.payload)
