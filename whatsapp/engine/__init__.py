"""The port to a WhatsApp library: the commands that the session pool gives to an engine, and its events.

`supervisor.NeonizeEngine` runs the real library in child processes; `simulated.SimulatedEngine` is the
same port in process, scripted, for tests and for the embedded development run.

Who reconnects: after `Disconnected` the library's own quick reconnect runs (neonize offers no switch to
turn it off). The engine bounds it by `EngineSettings.reconnect_grace`: either `Connected` follows in that
time, or `ConnectFailed(permanent=False)` and `Stopped`, and when to try again is the pool's decision. The
same ends a line that breaks again and again (`quick_returns`).
After `PairingEnded`, `LoggedOut`, `Replaced`, `Banned`, `ClientOutdated` and `ConnectFailed` the engine
stops the session by itself; `Stopped` is then the last event of it. What concerns messages (`Incoming`,
`Receipt`, `Sent`) may come until `Stopped`, also after a `stop`: WhatsApp repeats nothing of it. `start` on
a session that the engine still holds restarts it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from whatsapp.engine.commands import SendMedia
from whatsapp.engine.events import Event, MediaReference

UPLOAD_TIMEOUT = 60.0  # seconds
RECYCLED = "recycled"  # why a host ended: it was replaced for its age, its memory or the number of its starts


class EngineError(Exception):
    """The engine could not carry out a command; the text gives the cause and holds no secrets."""


@dataclass(frozen=True, slots=True)
class HostInfo:
    """One host process as the engine sees it now.

    `rss_bytes` and `threads` are from its last heartbeat (0 before the first one); `started_at` is
    seconds since the epoch. A spare host has the library loaded and waits for its first session.
    `proxy` is the host and port of the proxy that it reaches WhatsApp through, empty without one;
    `proxy_works` says whether the engine's last attempt to connect succeeded, None before the first.
    """

    id: str
    pid: int
    kind: Literal["spare", "pairing", "shard"]
    sessions: int
    rss_bytes: int
    threads: int
    started_at: float
    proxy: str = ""
    proxy_works: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How the engine runs its hosts. Times are seconds.

    `proxy_url` and `ca_file` lead the library to WhatsApp through a proxy or to another server that
    speaks the protocol; `noise_root` (64 hex digits) replaces the root key that the library trusts and is
    accepted only with `sandbox`. A host that gets no ping for `silence`
    seconds ends itself. Every process of the engine inherits the descriptor `held_open`, and has it
    open until it ends.
    """

    shard_size: int = 50
    held_open: int | None = None
    spare_hosts: int = 1
    pairings_at_once: int = 4 * (os.cpu_count() or 1)  # while they start
    device_name: str = "Notifications"
    proxy_url: str | None = field(default=None, repr=False)  # may hold a password
    ca_file: str | None = None
    noise_root: str | None = None
    sandbox: bool = False
    log_level: str = "WARNING"
    ping_interval: float = 5.0
    ping_timeout: float = 10.0
    silence: float = 15.0
    settle: float = 2.0
    start_timeout: float = 40.0
    stop_timeout: float = 8.0
    answer_timeout: float = 15.0
    logout_timeout: float = 20.0
    upload_timeout: float = UPLOAD_TIMEOUT  # of a file; sending its message takes as long as a text
    reconnect_grace: float = 30.0
    # A line that breaks so often in a row, each time before it has stood for `stable_after`, is given up:
    # the library would come back at once for ever.
    quick_returns: int = 3
    stable_after: float = 60.0
    close_timeout: float = 5.0
    maintenance_interval: float = 10.0
    host_max_age: float = 24 * 3600.0
    host_max_rss: int = 600 * 1024 * 1024
    host_max_starts: int = 500
    max_queued_events: int = 10_000

    def __post_init__(self) -> None:
        if self.noise_root is not None and not self.sandbox:
            raise EngineError("A noise root may be replaced in sandbox mode only.")


class Engine(Protocol):
    """Sessions are named by uuid text. Methods return when the request was handed over, unless said
    otherwise; the answer comes as an event. They raise EngineError when the session is not held."""

    async def start(self, session: str, store_path: Path, *, pairing: bool) -> None:
        """Connect from the key store at `store_path`; with `pairing`, link when it holds no device."""

    async def stop(self, session: str) -> None:
        """Return when the session's connection is really gone; a session not held is no error."""

    async def logout(self, session: str) -> None:
        """Remove the linked device at WhatsApp and stop; raises EngineError when that failed."""

    async def request_pairing_code(self, session: str, phone: str) -> None:
        """Answered by PairingCode or PairingCodeFailed."""

    async def send(self, session: str, ref: str, phone: str, text: str) -> None:
        """Answered by Sent or SendFailed; by neither when the host dies or the session stops meanwhile."""

    async def send_media(self, message: SendMedia) -> None:
        """Upload a picture or document, then send it; answered as `send` is.

        What cannot be sent (`outgoing_media.refusal`) is answered by a permanent SendFailed; an upload that
        failed or took longer than `upload_timeout` by one with `upload_failed`; one that a dying host or a
        stop has cut short by one with `not_connected`. Nothing has gone out then. Texts that are given later
        may go out before. A reference that is being sent is not sent beside that; one that was acknowledged
        lately is answered by the same Sent.
        """

    async def check_numbers(self, session: str, ref: str, phones: list[str]) -> None:
        """Answered by NumbersChecked."""

    async def download(self, reference: MediaReference, *, max_bytes: int, seconds: float) -> bytes:
        """The file of a message; needs no session and holds none up. Raises `media_download.MediaError`,
        also when the file is larger than `max_bytes` or does not come within `seconds`."""

    def permit(self, until: float) -> None:
        """Let sessions run until this moment of the monotonic clock, unless a later call moves it: then
        their hosts end by themselves, whatever state this process is in. Without a call they run on."""

    async def close(self) -> None:
        """Stop everything; bounded by `close_timeout`, then the hosts are killed."""

    def events(self) -> AsyncIterator[Event]:
        """Every event in order, for one consumer; ends after `close`.

        Memory is bounded: hosts are not read while the consumer is far behind. The consumer should
        therefore not wait inside its loop for a method of the engine that waits for a host.
        """

    async def drained(self) -> None:
        """Return when the consumer of `events` has handled every event that is there now."""

    def hosts(self) -> list[HostInfo]:
        """The host processes that run now."""

    def owns(self, session: str) -> bool:
        """Whether the engine holds this session."""

    def host_of(self, session: str) -> str:
        """The id of the host process that the session is in; empty while it is in none."""
