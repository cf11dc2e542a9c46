"""Removing the linked device at WhatsApp, for which the line must be up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from whatsapp.engine import EngineError, events
from whatsapp.pool import vault

if TYPE_CHECKING:
    from whatsapp.pool.runner import SessionRunner

CONNECT_WAIT = 25.0  # seconds
ENDS = (
    events.LoggedOut,
    events.Replaced,
    events.Banned,
    events.ClientOutdated,
    events.ConnectFailed,
    events.Stopped,
)


async def remove_device(runner: SessionRunner) -> bool:
    """Tell WhatsApp to forget the device; True when it is gone there, False when it could not be told."""
    if runner.connected_since is None:
        try:
            path = (await runner.database(vault.prepare, runner.session)).path
        except (vault.CredentialsMissing, vault.CredentialsDamaged):
            return True  # nothing to log in with, so nothing that could be told
        await runner.start_engine(path, pairing=False)
        arrived = await _next_of(runner, (events.Connected, *ENDS), CONNECT_WAIT)
        if isinstance(arrived, events.LoggedOut):
            return True
        if not isinstance(arrived, events.Connected):
            return False
    try:
        await runner.engine.logout(runner.session)
    except EngineError as error:
        runner.log.warning("logout failed", error=str(error))
        return False
    return True


async def _next_of(
    runner: SessionRunner, kinds: tuple[type[events.SessionEvent], ...], seconds: float
) -> events.SessionEvent | None:
    """The session's next event of these kinds; of others meanwhile only messages count."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                event = await runner.inbox.get()
                if isinstance(event, kinds):
                    return event
                await runner.sender.hear(event)
    except TimeoutError:
        return None
