"""Removing the linked device at WhatsApp, for which the line must be up."""

import asyncio

from whatsapp.engine import EngineError, events
from whatsapp.pool import vault
from whatsapp.pool.link import Link
from whatsapp.sessions.context import SessionContext

CONNECT_WAIT = 25.0  # seconds
ENDS = (
    events.LoggedOut,
    events.Replaced,
    events.Banned,
    events.ClientOutdated,
    events.ConnectFailed,
    events.Stopped,
)


async def remove_device(context: SessionContext, link: Link) -> bool:
    """Have WhatsApp remove the device; True when it is gone there, False when WhatsApp could not be asked."""
    if context.connected_since is None:
        try:
            path = (await context.database(vault.prepare, context.session)).path
        except (vault.CredentialsMissing, vault.CredentialsDamaged):
            return True  # nothing to log in with, so nobody who could ask
        await link.start_engine(path, pairing=False)
        arrived = await _next_of(context, link, (events.Connected, *ENDS))
        if isinstance(arrived, events.LoggedOut):
            return True
        if not isinstance(arrived, events.Connected):
            return False
    try:
        await context.engine.logout(context.session)
    except EngineError as error:
        context.log.warning("logout failed", error=str(error))
        return False
    return True


async def _next_of(
    context: SessionContext, link: Link, kinds: tuple[type[events.SessionEvent], ...]
) -> events.SessionEvent | None:
    """The session's next event of these kinds; of others meanwhile only messages count."""
    try:
        async with asyncio.timeout(CONNECT_WAIT):
            while True:
                event = await context.inbox.get()
                if isinstance(event, kinds):
                    return event
                await link.sender.handle_event(event)
    except TimeoutError:
        return None
