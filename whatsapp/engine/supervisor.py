"""The engine that runs the real library, in child processes that it spawns, feeds, watches and replaces.

A pairing attempt runs in a host of its own. Once linked, the session is let settle for a moment (the
upload of its keys must finish), that host is ended, and only then is the session started from the same key
store in a shard; what is to be sent meanwhile waits. The pool sees `Connected` twice: at the scan, and when
the shard is up and the key store is at rest. A shard that is due to be replaced hands its sessions on in
the same way, one at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from whatsapp.engine import EngineError, EngineSettings, HostInfo
from whatsapp.engine.fleet import Fleet
from whatsapp.engine.mailbox import Mailbox
from whatsapp.engine.process import HostProcess
from whatsapp.engine.protocol import (
    Banned,
    CheckNumbers,
    ClientOutdated,
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    HostExited,
    LoggedOut,
    Logout,
    LogoutDone,
    Message,
    NumbersChecked,
    PairingEnded,
    QrCode,
    Replaced,
    RequestPairingCode,
    Send,
    SendFailed,
    SessionEvent,
    Start,
    Stop,
    Stopped,
)
from whatsapp.engine.slot import Phase, Slot
from whatsapp.engine.store import store_problem

logger = logging.getLogger("whatsapp.engine")

LAST_WORDS = (PairingEnded, LoggedOut, Replaced, Banned, ClientOutdated, ConnectFailed)
MAX_WAITING = 1000


class NeonizeEngine:
    """See `whatsapp.engine.Engine`. Create and use it on one event loop."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._slots: dict[str, Slot] = {}
        self._mailbox = Mailbox(settings.max_queued_events)
        self._fleet = Fleet(
            settings, on_message=self._hear, on_exit=self._host_gone, on_start=self._mailbox.put
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._maintenance: asyncio.Task[None] | None = None
        self._closing = False

    # What the pool asks

    async def start(self, session: str, store_path: Path, *, pairing: bool) -> None:
        self._keep_running()
        while (held := self._slots.get(session)) is not None:
            await self._stop(held, quiet=True)
        slot = Slot(session, store_path, Phase.PAIRING if pairing else Phase.STARTING)
        self._slots[session] = slot
        if not pairing and (problem := await asyncio.to_thread(store_problem, store_path)) is not None:
            self._last_word(slot, ConnectFailed(session, problem, permanent=True))
            return
        try:
            await self._place(slot)
        except EngineError:
            self._release(slot)
            raise

    async def stop(self, session: str) -> None:
        slot = self._slots.get(session)
        if slot is not None:
            await self._stop(slot)

    async def logout(self, session: str) -> None:
        slot = self._held(session)
        try:
            async with asyncio.timeout(self._settings.logout_timeout):
                await slot.linked.wait()
                slot.logout = asyncio.get_running_loop().create_future()
                self._tell(slot, Logout(session))
                error = await slot.logout
        except TimeoutError:
            error = "WhatsApp did not answer in time"
        if error is not None:
            raise EngineError(f"The device could not be removed: {error}.")
        await self._stop(slot)

    async def request_pairing_code(self, session: str, phone: str) -> None:
        self._tell(self._held(session), RequestPairingCode(session, phone))

    async def send(self, session: str, ref: str, phone: str, text: str) -> None:
        self._tell_when_linked(Send(session, ref, phone, text))

    async def check_numbers(self, session: str, ref: str, phones: list[str]) -> None:
        self._tell_when_linked(CheckNumbers(session, ref, phones))

    async def close(self) -> None:
        self._closing = True
        if self._maintenance is not None:
            self._maintenance.cancel()
        for slot in self._slots.values():
            slot.phase = Phase.STOPPING
            slot.interrupted.set()
            slot.set_timer(None)
        await self._fleet.close()
        for slot in list(self._slots.values()):
            self._release(slot)
            self._mailbox.put(Stopped(slot.session))
        self._mailbox.close()

    def events(self) -> AsyncIterator[Event]:
        self._keep_running()
        return self._mailbox.events()

    def hosts(self) -> list[HostInfo]:
        return self._fleet.infos()

    def owns(self, session: str) -> bool:
        return session in self._slots

    # What the hosts say

    async def _hear(self, host: HostProcess, message: Message) -> None:
        await self._mailbox.room()
        if not isinstance(message, get_args(SessionEvent)):
            logger.error("%s sent a %s, which is not for a host", host.id, type(message).__name__)
            return
        slot = self._slots.get(message.session)
        if slot is not None and slot.host is host:
            self._take(slot, message)

    def _take(self, slot: Slot, event: Any) -> None:
        if isinstance(event, Stopped):
            slot.gone.set()
        elif isinstance(event, LogoutDone):
            slot.answer_logout(event.error)
        elif isinstance(event, Connected):
            self._connected(slot, event)
        elif isinstance(event, Disconnected):
            self._disconnected(slot, event)
        elif isinstance(event, LAST_WORDS):
            self._last_word(slot, event)
        else:
            if isinstance(event, QrCode):
                slot.set_timer(None)
            self._mailbox.put(event)

    def _connected(self, slot: Slot, event: Connected) -> None:
        slot.set_timer(None)
        if slot.phase is Phase.PAIRING:
            slot.phase = Phase.SETTLING
            slot.move = self._spawn(self._move_after_settling(slot))
        elif slot.phase in (Phase.STARTING, Phase.LINKED):
            slot.phase = Phase.LINKED
            slot.linked.set()
            while slot.waiting:
                self._tell(slot, slot.waiting.popleft())
        else:
            return
        self._mailbox.put(event)

    def _disconnected(self, slot: Slot, event: Disconnected) -> None:
        if slot.phase is Phase.LINKED:
            self._give_up_after(slot, self._settings.reconnect_grace, "the connection did not come back")
        elif slot.phase is not Phase.STARTING:
            return
        self._mailbox.put(event)

    def _last_word(self, slot: Slot, event: Event) -> None:
        """The host stops the session by itself after this."""
        if slot.leaving:
            return
        slot.phase = Phase.ENDING
        slot.interrupted.set()
        self._mailbox.put(event)
        self._spawn(self._finish(slot))

    async def _host_gone(self, host: HostProcess, event: HostExited) -> None:
        lost = []
        for slot in [slot for slot in self._slots.values() if slot.host is host]:
            slot.gone.set()
            slot.answer_logout("its host process ended")
            if slot.phase not in (Phase.ENDING, Phase.STOPPING, Phase.MOVING):
                lost.append(slot.session)
                self._release(slot)
        self._mailbox.put(HostExited(event.host, event.pid, lost, event.reason))
        if not self._closing:
            self._spawn(self._fill_spares())

    # What follows from it

    async def _place(self, slot: Slot) -> None:
        pairing = slot.phase is Phase.PAIRING
        host = await self._fleet.take(slot.session, pairing=pairing)
        if slot.leaving:
            host.sessions.discard(slot.session)
            if pairing:
                await host.kill("its session was stopped")
            return
        slot.host = host
        slot.gone.clear()
        host.send(Start(slot.session, str(slot.store_path.absolute()), pairing))
        self._give_up_after(slot, self._settings.start_timeout, "WhatsApp does not answer")
        self._spawn(self._fill_spares())

    async def _move_after_settling(self, slot: Slot) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(slot.interrupted.wait(), self._settings.settle)
        if slot.phase is Phase.SETTLING:
            await self._move(slot)

    async def _move(self, slot: Slot) -> None:
        slot.phase = Phase.MOVING
        slot.linked.clear()
        slot.set_timer(None)
        await self._leave_host(slot, "its session moved to a shard")
        if slot.phase is not Phase.MOVING:
            return
        slot.phase = Phase.STARTING
        try:
            await self._place(slot)
        except EngineError as error:
            self._last_word(slot, ConnectFailed(slot.session, str(error), permanent=False))

    async def _stop(self, slot: Slot, *, quiet: bool = False) -> None:
        if slot.leaving:
            await slot.released.wait()
            return
        slot.phase = Phase.STOPPING
        await self._finish(slot, quiet=quiet)

    async def _finish(self, slot: Slot, *, quiet: bool = False) -> None:
        slot.interrupted.set()
        slot.set_timer(None)
        if slot.move is not None:
            await asyncio.wait({slot.move})
        await self._leave_host(slot, "the pairing attempt is over")
        self._release(slot)
        if not quiet:
            self._mailbox.put(Stopped(slot.session))

    async def _leave_host(self, slot: Slot, reason: str) -> None:
        """Return when the session's host has let go of it. A pairing host always ends with it; a shard
        that does not obey in time is killed, whatever else it holds."""
        host = slot.host
        if host is None:
            return
        waits_for_scan = host.kind == "pairing" and slot.phase is not Phase.MOVING
        if not waits_for_scan:
            host.send(Stop(slot.session))
            with suppress(TimeoutError):
                await asyncio.wait_for(slot.gone.wait(), self._settings.stop_timeout)
        if host.kind == "pairing":
            await host.kill(reason)
        elif not slot.gone.is_set():
            await host.kill("a session in it did not stop")
        host.sessions.discard(slot.session)
        slot.host = None

    def _release(self, slot: Slot) -> None:
        slot.set_timer(None)
        slot.interrupted.set()
        if slot.host is not None:
            slot.host.sessions.discard(slot.session)
            slot.host = None
        if self._slots.get(slot.session) is slot:
            del self._slots[slot.session]
        reason = "not_connected: the session was stopped"
        for command in slot.waiting:
            if isinstance(command, Send):
                self._mailbox.put(SendFailed(slot.session, command.ref, reason, permanent=False))
            else:
                self._mailbox.put(NumbersChecked(slot.session, command.ref, [], reason))
        slot.answer_logout("the session was stopped")
        slot.released.set()

    def _give_up_after(self, slot: Slot, seconds: float, reason: str) -> None:
        loop = asyncio.get_running_loop()
        slot.set_timer(loop.call_later(seconds, self._give_up, slot, reason))

    def _give_up(self, slot: Slot, reason: str) -> None:
        self._last_word(slot, ConnectFailed(slot.session, reason, permanent=False))

    def _held(self, session: str) -> Slot:
        slot = self._slots.get(session)
        if slot is None or slot.leaving:
            raise EngineError("The session is not running.")
        return slot

    def _tell(self, slot: Slot, command: Send | CheckNumbers | RequestPairingCode | Logout) -> None:
        if slot.host is None:
            raise EngineError("The session is being moved.")
        slot.host.send(command)

    def _tell_when_linked(self, command: Send | CheckNumbers) -> None:
        slot = self._held(command.session)
        if slot.phase is Phase.PAIRING:
            raise EngineError("The session is not linked.")
        if slot.phase is Phase.LINKED:
            self._tell(slot, command)
        elif len(slot.waiting) < MAX_WAITING:
            slot.waiting.append(command)
        else:
            raise EngineError("Too many messages wait for the session to connect.")

    # Upkeep

    def _keep_running(self) -> None:
        if self._maintenance is None and not self._closing:
            self._maintenance = self._spawn(self._maintain())

    async def _maintain(self) -> None:
        while True:
            await self._fill_spares()
            for host in self._fleet.retiring():
                for session in sorted(host.sessions):
                    slot = self._slots.get(session)
                    if slot is not None and slot.host is host and slot.phase is Phase.LINKED:
                        slot.move = self._spawn(self._move(slot))
                        await asyncio.wait({slot.move})
            await self._fleet.close_idle()
            await asyncio.sleep(self._settings.maintenance_interval)

    async def _fill_spares(self) -> None:
        try:
            await self._fleet.fill_spares()
        except EngineError as error:
            logger.warning("no spare host: %s", error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        """A failure in here is a defect: tell the consumer instead of going on half alive."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("the engine's own work failed", exc_info=error)
            self._mailbox.fail(error)
