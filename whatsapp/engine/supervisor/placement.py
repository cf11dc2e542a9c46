"""Where sessions run: into a host, from one host to another, and out."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from whatsapp.engine import EngineError, EngineSettings
from whatsapp.engine.commands import Start, Stop
from whatsapp.engine.event_queue import EventQueue
from whatsapp.engine.events import (
    ConnectFailed,
    Event,
    Stopped,
)
from whatsapp.engine.store import store_problem
from whatsapp.engine.supervisor.background import Background
from whatsapp.engine.supervisor.fleet import Fleet
from whatsapp.engine.supervisor.slot import Phase, Slot

logger = logging.getLogger("whatsapp.engine")

# Seconds in which an attempt has used what it needs of the processor; what it waits for then is WhatsApp.
STARTING_MOST = 0.25


class Placement:
    """Puts sessions into hosts, moves them, and lets them go. Every step may be overtaken by a stop or by
    the session's terminal event; each checks the phase again after it has waited."""

    def __init__(self, settings: EngineSettings, event_queue: EventQueue, fleet: Fleet) -> None:
        self.slots: dict[str, Slot] = {}
        self.fleet = fleet
        self.background = Background(on_failure=event_queue.fail)
        self._settings = settings
        self._event_queue = event_queue
        self._closing = False
        self._starting = asyncio.Semaphore(settings.pairings_at_once)

    async def start(self, session: str, store_path: Path, *, pairing: bool) -> None:
        """Begin a session in a host; one that is held is stopped first, without a word about it.

        A caller that is cancelled leaves a session that starts, and that can be stopped.
        """
        while (held := self.slots.get(session)) is not None:
            await self.stop(held, quiet=True)
        slot = Slot(session, store_path, Phase.PAIRING if pairing else Phase.STARTING)
        self.slots[session] = slot
        begun: asyncio.Future[EngineError | None] = asyncio.get_running_loop().create_future()
        self.background.spawn(self._begin(slot, begun))
        if (error := await begun) is not None:
            raise error

    async def stop(self, slot: Slot, *, quiet: bool = False) -> None:
        """Return when the session is released; with `quiet` without a Stopped. A caller that is cancelled
        does not keep it from ending."""
        if not slot.leaving:
            slot.phase = Phase.STOPPING
            self.background.spawn(self._finish(slot, quiet=quiet))
        await slot.released.wait()

    async def close(self) -> None:
        """End every session and every host."""
        self._closing = True
        for slot in self.slots.values():
            slot.phase = Phase.STOPPING
            slot.interrupted.set()
            slot.set_timer(None)
        await self.fleet.close()
        for slot in list(self.slots.values()):
            self._release(slot, say_stopped=True)
        self.background.cancel()

    async def move(self, slot: Slot) -> None:
        """Take a connected session to a shard with room; the old host has let go of it before."""
        slot.phase = Phase.MOVING
        slot.linked.clear()
        slot.set_timer(None)
        await self._wait_for_answers(slot)
        await self._leave_host(slot, "its session moved to a shard")
        for answer in slot.refuse_unanswered():
            self._event_queue.put(answer)
        if slot.phase is not Phase.MOVING:
            return
        slot.phase = Phase.STARTING
        try:
            await self._place(slot)
        except EngineError as error:
            self._end_with(slot, ConnectFailed(slot.session, str(error), permanent=False))

    async def _wait_for_answers(self, slot: Slot) -> None:
        """Wait for the answers to what the session's host was asked: with the line closed on it, a message
        would have an unknown outcome. What is asked meanwhile waits for the next host."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.answer_timeout):
                while slot.unanswered and slot.phase is Phase.MOVING:
                    slot.answered.clear()
                    await slot.answered.wait()

    async def fill_spares(self) -> None:
        """Start the spare hosts that are missing; a failure is tried again later."""
        try:
            await self.fleet.fill_spares()
        except EngineError as error:
            logger.warning("no spare host: %s", error)

    async def _begin(self, slot: Slot, begun: asyncio.Future[EngineError | None]) -> None:
        problem = None
        failure: EngineError | None = EngineError("The engine is closing.")
        try:
            if slot.phase is Phase.STARTING:
                problem = await asyncio.to_thread(store_problem, slot.store_path)
            if problem is not None:
                self._end_with(slot, ConnectFailed(slot.session, problem, permanent=True))
            elif slot.phase is Phase.PAIRING:
                self.background.spawn(self._pair_in_turn(slot))
            elif not slot.leaving:
                await self._place(slot)
            failure = None
        except EngineError as error:
            self._release(slot)
            failure = error
        finally:
            if not begun.done():
                begun.set_result(failure)

    async def _pair_in_turn(self, slot: Slot) -> None:
        """Start a pairing attempt when its turn has come. Many that started at once would take turns at the
        processors, and all of their codes would come late."""
        async with self._starting:
            if slot.leaving:
                return
            try:
                await self._place(slot)
            except EngineError as error:
                self._end_with(slot, ConnectFailed(slot.session, str(error), permanent=False))
            with suppress(TimeoutError):
                async with asyncio.timeout(STARTING_MOST):
                    await slot.responded.wait()

    async def _place(self, slot: Slot) -> None:
        pairing = slot.phase is Phase.PAIRING
        host = await self.fleet.acquire(slot.session, pairing=pairing)
        if slot.leaving:
            host.sessions.discard(slot.session)
            if pairing:
                await host.kill("its session was stopped")
            return
        slot.host = host
        slot.gone.clear()
        host.send(Start(slot.session, str(slot.store_path.absolute()), pairing, slot.repeats))
        slot.repeats = True
        # A host starts its sessions one after another.
        queued = sum(other.host is host and not other.linked.is_set() for other in self.slots.values())
        self._give_up_after(slot, self._settings.start_timeout * queued, "WhatsApp does not answer")
        self.background.spawn(self.fill_spares())

    def _end_with(self, slot: Slot, event: Event) -> None:
        """The host stops the session by itself after this."""
        if slot.leaving:
            return
        if isinstance(event, ConnectFailed) and slot.host is not None and not event.permanent:
            self.fleet.note_connection(succeeded=False)
        slot.phase = Phase.ENDING
        slot.interrupted.set()
        self._event_queue.put(event)
        self.background.spawn(self._finish(slot))

    async def _finish(self, slot: Slot, *, quiet: bool = False) -> None:
        slot.interrupted.set()
        slot.answered.set()
        slot.set_timer(None)
        if slot.move is not None:
            await asyncio.wait({slot.move})
        await self._leave_host(slot, "the pairing attempt is over")
        self._release(slot, say_stopped=not quiet)

    async def _leave_host(self, slot: Slot, reason: str) -> None:
        """Return when the session's host has let go of it. A pairing host always ends with it; a shard
        that does not obey in time is killed, whatever else it holds."""
        host = slot.host
        if host is None:
            return
        # Once linked it has a move before it, and its host has messages to hand on.
        waits_for_scan = host.kind == "pairing" and slot.move is None
        if not waits_for_scan:
            host.send(Stop(slot.session))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.stop_timeout):
                    await slot.gone.wait()
        if host.kind == "pairing":
            await host.kill(reason)
        elif not slot.gone.is_set():
            await host.kill("a session in it did not stop")
        host.sessions.discard(slot.session)
        slot.host = None

    def _release(self, slot: Slot, *, say_stopped: bool = False) -> None:
        if slot.released.is_set():
            return
        slot.phase = Phase.ENDING  # What still runs for it sees that it is over.
        slot.responded.set()
        slot.set_timer(None)
        slot.interrupted.set()
        if slot.host is not None:
            slot.host.sessions.discard(slot.session)
            slot.host = None
        if self.slots.get(slot.session) is slot:
            del self.slots[slot.session]
        for event in slot.refuse_waiting() + slot.refuse_uploading():
            self._event_queue.put(event)
        slot.answer_logout("the session was stopped")
        slot.released.set()
        if say_stopped:
            self._event_queue.put(Stopped(slot.session))

    def _give_up_after(self, slot: Slot, seconds: float, reason: str) -> None:
        loop = asyncio.get_running_loop()
        slot.set_timer(loop.call_later(seconds, self._give_up, slot, reason))

    def _give_up(self, slot: Slot, reason: str) -> None:
        self._end_with(slot, ConnectFailed(slot.session, reason, permanent=False))
