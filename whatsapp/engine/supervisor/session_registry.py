"""The sessions that the supervisor holds, and what each event of a host changes in them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any, get_args

from whatsapp.engine import EngineError, EngineSettings
from whatsapp.engine.commands import Answerable, Logout, RequestPairingCode, Send
from whatsapp.engine.event_queue import EventQueue
from whatsapp.engine.events import (
    BREAKS_AGAIN,
    TERMINAL_EVENTS,
    Connected,
    ConnectFailed,
    Disconnected,
    HostExited,
    LogoutDone,
    MediaUploaded,
    NumbersChecked,
    QrCode,
    SendFailed,
    Sent,
    SessionEvent,
    Stopped,
)
from whatsapp.engine.protocol import Message
from whatsapp.engine.supervisor.fleet import Fleet
from whatsapp.engine.supervisor.placement import Placement
from whatsapp.engine.supervisor.process import HostProcess
from whatsapp.engine.supervisor.slot import Phase, Slot

logger = logging.getLogger("whatsapp.engine")

SENT_REMEMBERED = 2_000  # pictures and documents


class SessionRegistry(Placement):
    """Handles the hosts' events: keeps each session's phase, and passes on what the pool is to know."""

    def __init__(self, settings: EngineSettings, event_queue: EventQueue) -> None:
        fleet = Fleet(
            settings, on_message=self._handle_message, on_exit=self._host_gone, on_start=event_queue.put
        )
        super().__init__(settings, event_queue, fleet)
        self.sent_media: dict[tuple[str, str], Sent] = {}  # by session and reference, the oldest first

    def send(self, slot: Slot, command: Answerable | RequestPairingCode | Logout) -> None:
        """Hand a command to the session's host. Raises EngineError while it is between two hosts, or when
        the host does not take its file."""
        if slot.host is None:
            raise EngineError("The session is being moved.")
        slot.host.send(command)
        if isinstance(command, Answerable):
            slot.ask(command)

    async def _handle_message(self, host: HostProcess, message: Message) -> None:
        await self._event_queue.room()
        if not isinstance(message, get_args(SessionEvent)):
            logger.error("%s sent a %s, which is not for a host", host.id, type(message).__name__)
            return
        slot = self.slots.get(message.session)
        if slot is not None and slot.host is host:
            self._handle_event(slot, message)

    def _handle_event(self, slot: Slot, event: Any) -> None:
        slot.responded.set()
        if isinstance(event, QrCode | Connected):  # either comes only from WhatsApp's own server
            self.fleet.note_connection(succeeded=True)
        if isinstance(event, Stopped):
            slot.repeats = False
            slot.gone.set()
        elif isinstance(event, MediaUploaded):
            slot.uploading.discard(event.ref)
        elif isinstance(event, LogoutDone):
            slot.answer_logout(event.error)
        elif isinstance(event, Connected):
            self._connected(slot, event)
        elif isinstance(event, Disconnected):
            self._disconnected(slot, event)
        elif isinstance(event, QrCode):
            self._qr_code(slot, event)
        elif isinstance(event, TERMINAL_EVENTS):
            self._end_with(slot, event)
        else:
            if isinstance(event, Sent):
                self._remember_sent(slot, event)
            if isinstance(event, Sent | SendFailed | NumbersChecked):
                slot.answer(event.ref)
            self._event_queue.put(event)

    def _remember_sent(self, slot: Slot, event: Sent) -> None:
        """Of texts only what an earlier run of the session has left is remembered: it may have been media."""
        if not isinstance(slot.unanswered.get(event.ref), Send):
            self.sent_media[event.session, event.ref] = event
            while len(self.sent_media) > SENT_REMEMBERED:
                del self.sent_media[next(iter(self.sent_media))]

    def _qr_code(self, slot: Slot, event: QrCode) -> None:
        slot.set_timer(None)
        if slot.phase is Phase.PAIRING:
            self._event_queue.put(event)
        elif slot.host is not None and slot.host.kind == "shard":
            # The library removes a device from its store a moment after it has said so: the store was
            # looked at in between. The library cannot end what it has begun, so the shard is replaced.
            slot.host.retiring = True
            failure = ConnectFailed(slot.session, "the key store holds no linked device", permanent=True)
            self._end_with(slot, failure)

    def _connected(self, slot: Slot, event: Connected) -> None:
        slot.set_timer(None)
        if slot.phase is Phase.PAIRING:
            slot.phase = Phase.SETTLING
            slot.move = self.background.spawn(self._move_after_settling(slot))
        elif slot.phase in (Phase.STARTING, Phase.LINKED):
            slot.phase = Phase.LINKED
            slot.mark_connected()
            slot.linked.set()
            self._send_waiting(slot)
        else:
            return
        self._event_queue.put(event)

    def _send_waiting(self, slot: Slot) -> None:
        try:
            while slot.waiting:
                self.send(slot, slot.waiting[0])
                slot.waiting.popleft()
        except EngineError:
            for answer in slot.refuse_waiting():
                self._event_queue.put(answer)

    def _disconnected(self, slot: Slot, event: Disconnected) -> None:
        if slot.phase in (Phase.LINKED, Phase.STARTING):
            losses = slot.mark_disconnected(stable_after=self._settings.stable_after)
            if losses > self._settings.quick_returns:
                reason = f"{BREAKS_AGAIN}: {event.reason}"
                self._end_with(slot, ConnectFailed(slot.session, reason, permanent=False))
                return
            self._give_up_after(slot, self._settings.reconnect_grace, "the connection did not come back")
            self._event_queue.put(event)

    async def _host_gone(self, host: HostProcess, event: HostExited) -> None:
        lost = []
        for slot in [slot for slot in self.slots.values() if slot.host is host]:
            slot.gone.set()
            slot.answer_logout("its host process ended")
            if slot.phase is Phase.MOVING:
                for answer in slot.refuse_unanswered():
                    self._event_queue.put(answer)
            elif slot.phase not in (Phase.ENDING, Phase.STOPPING):
                lost.append(slot.session)
                self._release(slot)
        self._event_queue.put(HostExited(event.host, event.pid, lost, event.reason))
        if not self._closing:
            self.background.spawn(self.fill_spares())

    async def _move_after_settling(self, slot: Slot) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.settle):
                await slot.interrupted.wait()
        if slot.phase is Phase.SETTLING:
            await self.move(slot)
