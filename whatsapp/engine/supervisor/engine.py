"""The engine that runs the real library, in child processes that it spawns, feeds, watches and replaces.

A pairing attempt runs in a host of its own. Once linked, the session is let settle for a moment (the
upload of its keys must finish), that host is ended, and only then is the session started from the same key
store in a shard; what is to be sent meanwhile waits. The pool sees `Connected` twice: at the scan, and when
the shard is up and the key store is at rest. A shard that is due to be replaced hands its sessions on in
the same way, one at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from whatsapp.engine import EngineError, EngineSettings, HostInfo
from whatsapp.engine.commands import Answerable, CheckNumbers, Logout, RequestPairingCode, Send, SendMedia
from whatsapp.engine.event_queue import EventQueue
from whatsapp.engine.events import Event, MediaReference
from whatsapp.engine.media_download import Route, download
from whatsapp.engine.outgoing_media import refusal
from whatsapp.engine.supervisor.session_registry import SessionRegistry
from whatsapp.engine.supervisor.slot import Phase, Slot

MAX_WAITING = 1000


class NeonizeEngine:
    """See `whatsapp.engine.Engine`. Create and use it on one event loop."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._event_queue = EventQueue(settings.max_queued_events)
        self._registry = SessionRegistry(settings, self._event_queue)
        self._maintenance: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self, session: str, store_path: Path, *, pairing: bool) -> None:
        self._keep_running()
        await self._registry.start(session, store_path, pairing=pairing)

    async def stop(self, session: str) -> None:
        slot = self._registry.slots.get(session)
        if slot is not None:
            await self._registry.stop(slot)

    async def logout(self, session: str) -> None:
        slot = self._held(session)
        try:
            async with asyncio.timeout(self._settings.logout_timeout):
                await slot.linked.wait()
                slot.logout = asyncio.get_running_loop().create_future()
                self._registry.send(slot, Logout(session))
                error = await slot.logout
        except TimeoutError:
            error = "WhatsApp did not answer in time"
        if error is not None:
            raise EngineError(f"The device could not be removed: {error}.")
        await self._registry.stop(slot)

    async def request_pairing_code(self, session: str, phone: str) -> None:
        self._registry.send(self._held(session), RequestPairingCode(session, phone))

    async def send(self, session: str, ref: str, phone: str, text: str) -> None:
        self._send_when_linked(Send(session, ref, phone, text))

    async def send_media(self, message: SendMedia) -> None:
        slot = self._held(message.session)
        if refused := refusal(message):
            self._event_queue.put(refused)
        elif sent := self._registry.sent_media.get((message.session, message.ref)):
            self._event_queue.put(sent)
        elif not slot.holds(message.ref):
            self._send_when_linked(message)

    async def check_numbers(self, session: str, ref: str, phones: list[str]) -> None:
        self._send_when_linked(CheckNumbers(session, ref, phones))

    async def download(self, reference: MediaReference, *, max_bytes: int, seconds: float) -> bytes:
        route = Route(self._settings.proxy_url, self._settings.ca_file)
        return await download(reference, route, max_bytes=max_bytes, seconds=seconds)

    def permit(self, until: float) -> None:
        self._registry.fleet.permitted_until = until

    async def close(self) -> None:
        self._closing = True
        if self._maintenance is not None:
            self._maintenance.cancel()
        await self._registry.close()
        self._event_queue.close()

    def events(self) -> AsyncIterator[Event]:
        self._keep_running()
        return self._event_queue.events()

    async def drained(self) -> None:
        await self._event_queue.drained()

    def hosts(self) -> list[HostInfo]:
        return self._registry.fleet.infos()

    def owns(self, session: str) -> bool:
        return session in self._registry.slots

    def host_of(self, session: str) -> str:
        slot = self._registry.slots.get(session)
        return slot.host.id if slot is not None and slot.host is not None else ""

    def _held(self, session: str) -> Slot:
        slot = self._registry.slots.get(session)
        if slot is None or slot.leaving:
            raise EngineError("The session is not running.")
        return slot

    def _send_when_linked(self, command: Answerable) -> None:
        slot = self._held(command.session)
        if slot.phase is Phase.PAIRING:
            raise EngineError("The session is not linked.")
        if slot.phase is Phase.LINKED:
            self._registry.send(slot, command)
        elif len(slot.waiting) < MAX_WAITING:
            slot.waiting.append(command)
        else:
            raise EngineError("Too many messages wait for the session to connect.")

    def _keep_running(self) -> None:
        if self._maintenance is None and not self._closing:
            self._maintenance = self._registry.background.spawn(self._maintain())

    async def _maintain(self) -> None:
        while True:
            await self._registry.fill_spares()
            for host in self._registry.fleet.retiring():
                for session in sorted(host.sessions):
                    slot = self._registry.slots.get(session)
                    if slot is not None and slot.host is host and slot.phase is Phase.LINKED:
                        slot.move = self._registry.background.spawn(self._registry.move(slot))
                        await asyncio.wait({slot.move})
            await self._registry.fleet.close_idle()
            await asyncio.sleep(self._settings.maintenance_interval)
