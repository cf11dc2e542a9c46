"""The state of the simulated engine, and what time does to it."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from whatsapp.engine import EngineError
from whatsapp.engine.event_queue import EventQueue
from whatsapp.engine.events import (
    Connected,
    ConnectFailed,
    Event,
    HostExited,
    HostStarted,
    LoggedOut,
    PairingEnded,
    QrCode,
    Sent,
    Stopped,
)
from whatsapp.engine.media_download import MediaError
from whatsapp.engine.simulated.hosts import SimulatedHost, SimulatedHosts
from whatsapp.engine.simulated.store import Device, count_login, write_device


@dataclass(eq=False)
class HeldSession:
    """One session that the engine holds."""

    store_path: Path
    host: SimulatedHost
    device: Device | None = None
    connected: bool = False
    qr_codes: int = 0
    pairing_code: str | None = None
    pairing_phone: str = ""
    timer: asyncio.TimerHandle | None = None
    connected_at: float = 0.0  # monotonic
    quick_losses: int = 0  # in a row

    def set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        """Replace the running timer; None only cancels it."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = timer


@dataclass(frozen=True, slots=True)
class SentFile:
    """The picture or document of a message: what was said of it, its size in bytes and SHA-256 in hex."""

    kind: str
    mime: str
    file_name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SentText:
    """A message that the simulated WhatsApp has taken; the text of one with a file is its caption."""

    session: str
    ref: str
    phone: str
    text: str
    wa_message_id: str
    file: SentFile | None = None


@dataclass(slots=True)
class Script:
    """What the simulated WhatsApp does when asked; a test changes it at any time.

    `connect_failure` meets every start while it is set. `send_failures` and `pairing_code_failures` are
    taken from the front, one for each request; so are `lost_answers`: a send, of a text or a file, that is
    never answered, and whether the message went out. With `auto_deliver` every message is delivered at
    once; with `receipts_first` even before it is acknowledged. With `hanging_download` files never come; it
    is set when one is asked for.
    """

    not_on_whatsapp: set[str] = field(default_factory=set)
    connect_failure: tuple[str, bool] | None = None
    send_failures: list[tuple[str, bool]] = field(default_factory=list)
    pairing_code_failures: list[tuple[str, str]] = field(default_factory=list)
    logout_failure: str | None = None
    lost_answers: list[bool] = field(default_factory=list)
    auto_deliver: bool = False
    receipts_first: bool = False
    download_failures: list[MediaError] = field(default_factory=list)
    hanging_download: asyncio.Event | None = None


class Core:
    """Sessions, their hosts and their timers."""

    def __init__(
        self,
        *,
        pace: float = 1.0,
        qr_lifetimes: tuple[float, ...] = (60, 20, 20, 20, 20, 20),
        pairing_code_lifetime: float = 50.0,
        reconnect_grace: float = 30.0,
        quick_returns: int = 3,
        stable_after: float = 60.0,
        shard_size: int = 50,
        max_queued_events: int = 10_000,
    ) -> None:
        self.script = Script()
        self.sent: list[SentText] = []
        self._acknowledged_files: dict[tuple[str, str], Sent] = {}  # by session and reference
        self.files: dict[str, bytes] = {}  # at WhatsApp, by their paths
        self.permitted_until = math.inf  # remembered only: there is no process to end
        self._pace = pace
        self._qr_lifetimes = qr_lifetimes
        self._pairing_code_lifetime = pairing_code_lifetime
        self._reconnect_grace = reconnect_grace
        self._quick_returns = quick_returns
        self._stable_after = stable_after
        self._sessions: dict[str, HeldSession] = {}
        self._removed: set[str] = set()
        self._last_device: dict[str, int] = {}
        self._hosts = SimulatedHosts(shard_size)
        self._event_queue = EventQueue(max_queued_events)

    def _place(self, session: str, *, pairing: bool) -> SimulatedHost:
        host, new = self._hosts.acquire(session, pairing=pairing)
        if new:
            self._event_queue.put(HostStarted(host.id, host.pid))
        return host

    def _leave_host(self, session: str, held: HeldSession) -> None:
        if self._hosts.leave(held.host, session):
            exited = HostExited(held.host.id, held.host.pid, [], "the pairing attempt is over")
            self._event_queue.put(exited)

    def _next_qr(self, session: str) -> None:
        held = self._sessions[session]
        if held.qr_codes == len(self._qr_lifetimes):
            self._end(session, PairingEnded(session, "timeout", "nobody scanned a code"))
            return
        lifetime = self._qr_lifetimes[held.qr_codes]
        held.qr_codes += 1
        parts = ",".join(secrets.token_urlsafe(24) for _ in range(4))
        text = f"https://wa.me/settings/linked_devices#{parts},1"
        self._event_queue.put(QrCode(session, text, lifetime * self._pace))
        self._later(session, lifetime, self._next_qr)

    def _log_in(self, session: str) -> None:
        held = self._sessions[session]
        device = held.device
        if device is None:
            raise EngineError("A session without a device logged in.")
        if device.jid in self._removed:
            write_device(held.store_path, None)
            self._end(session, LoggedOut(session, "logged_out"))
            return
        held.set_timer(None)
        held.connected, held.connected_at = True, time.monotonic()
        count_login(held.store_path)
        event = Connected(session, device.phone, device.jid, device.lid, device.push_name)
        self._event_queue.put(event)
        if held.host.kind == "pairing":
            self._leave_host(session, held)
            held.host = self._place(session, pairing=False)
            self._event_queue.put(event)

    def _give_up(self, session: str) -> None:
        self._end(session, ConnectFailed(session, "the connection did not come back", permanent=False))

    def _end(self, session: str, terminal_event: Event) -> None:
        self._held(session)
        self._event_queue.put(terminal_event)
        self._let_go(session)
        self._event_queue.put(Stopped(session))

    def _let_go(self, session: str) -> None:
        held = self._sessions.pop(session)
        held.set_timer(None)
        self._leave_host(session, held)

    def _forget_device(self, held: HeldSession) -> None:
        if held.device is not None:
            self._removed.add(held.device.jid)
            write_device(held.store_path, None)

    def _held(self, session: str) -> HeldSession:
        held = self._sessions.get(session)
        if held is None:
            raise EngineError("The session is not running.")
        return held

    def _connected(self, session: str) -> HeldSession:
        held = self._held(session)
        if not held.connected:
            raise EngineError("The session is not connected.")
        return held

    def _soon(self, session: str, action: Callable[[str], None]) -> None:
        self._later(session, 0.0, action)

    def _later(self, session: str, seconds: float, action: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self._sessions[session].set_timer(loop.call_later(seconds * self._pace, action, session))
