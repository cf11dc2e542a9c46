"""PostgreSQL's NOTIFY, heard by code of an event loop on a connection of its own."""

from collections.abc import Callable
from typing import NoReturn

from config.shared import loop_connections


async def listen_for_ever(
    channel: str, handle: Callable[[str], None], resync: Callable[[], None]
) -> NoReturn:
    """Call `handle` with each payload sent to `channel`; a connection that is lost is opened anew.

    Calls `resync` whenever it begins to listen: nobody has heard what was sent until then.
    """
    await loop_connections.for_ever(
        lambda: _listen(channel, handle, resync), lost="listening connection lost", channel=channel
    )


async def _listen(channel: str, handle: Callable[[str], None], resync: Callable[[], None]) -> NoReturn:
    async with loop_connections.connected() as listening:
        await listening.execute(f"LISTEN {channel}")
        resync()
        pgconn = listening.pgconn

        def pass_on() -> None:
            while notification := pgconn.notifies():
                handle(notification.extra.decode())

        await loop_connections.LoopConnection(pgconn, pass_on).until_lost()
