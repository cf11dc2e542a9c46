"""What people, WhatsApp and the net do to the sessions of the simulated engine."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time

from whatsapp.engine import EngineError
from whatsapp.engine.events import (
    BREAKS_AGAIN,
    Banned,
    ClientOutdated,
    ConnectFailed,
    Disconnected,
    HostExited,
    Incoming,
    Location,
    LoggedOut,
    MediaReference,
    Receipt,
    Replaced,
)
from whatsapp.engine.simulated.core import Core
from whatsapp.engine.simulated.store import Device, lid_of, write_device


class Controls(Core):
    """What a test can make happen to a session."""

    def scan(self, session: str, phone: str, push_name: str = "Salon") -> None:
        """Scan the QR code that is shown, with the phone of this number. Raises EngineError without one."""
        held = self._held(session)
        if held.device is not None or held.qr_codes == 0:
            raise EngineError("No QR code is shown.")
        number = self._last_device[phone] = self._last_device.get(phone, 0) + 1
        held.device = Device(phone, number, push_name)
        held.pairing_code = None
        write_device(held.store_path, held.device)
        self._log_in(session)

    def type_code(self, session: str, code: str) -> None:
        """Type a pairing code on the phone it was made for. Raises EngineError when it is not the one."""
        held = self._held(session)
        if held.pairing_code is None or code != held.pairing_code:
            raise EngineError("The code is not valid.")
        self.scan(session, held.pairing_phone)

    def skip_code(self, session: str) -> None:
        """Let the QR code that is shown run out now."""
        self._next_qr(session)

    def incoming(
        self,
        session: str,
        phone: str | None,
        text: str | None = None,
        note: str | None = None,
        *,
        media: MediaReference | None = None,
        location: Location | None = None,
    ) -> str:
        """Let a person write to the salon; returns the message's id. Without a phone there is only a LID."""
        self._connected(session)
        message_id = f"3A{secrets.token_hex(9).upper()}"
        lid = lid_of(phone or "79990000000")
        self._event_queue.put(
            Incoming(session, message_id, phone, lid, text, note, time.time(), media, location)
        )
        return message_id

    def incoming_file(
        self,
        session: str,
        phone: str,
        kind: str,
        data: bytes,
        *,
        mime: str,
        name: str = "",
        caption: str = "",
    ) -> str:
        """Let a person send a file; returns the message's id."""
        path, digest = f"/v/{secrets.token_hex(8)}", base64.b64encode(hashlib.sha256(data).digest()).decode()
        self.files[path] = data
        reference = MediaReference(
            kind=kind, mime=mime, name=name, size=len(data), path=path, key=digest, sha256=digest,
            sealed_sha256=digest,
        )  # fmt: skip
        return self.incoming(session, phone, caption or None, kind, media=reference)

    def deliver(self, session: str, *message_ids: str) -> None:
        """Let the recipient's phone receive these messages."""
        self._event_queue.put(Receipt(session, list(message_ids), "delivered", time.time()))

    def read(self, session: str, *message_ids: str) -> None:
        """Let the recipient open the chat."""
        self._event_queue.put(Receipt(session, list(message_ids), "read", time.time()))

    def drop(
        self, session: str, reason: str = "the connection was lost", *, back_after: float | None = 0.0
    ) -> None:
        """Cut the line; it comes back after `back_after` seconds times `pace`, or with None not in time."""
        held = self._connected(session)
        held.connected = False
        early = time.monotonic() - held.connected_at < self._stable_after * self._pace
        held.quick_losses = held.quick_losses + 1 if early else 0
        if held.quick_losses > self._quick_returns:
            self._end(session, ConnectFailed(session, f"{BREAKS_AGAIN}: {reason}", permanent=False))
            return
        self._event_queue.put(Disconnected(session, reason))
        if back_after is None:
            self._later(session, self._reconnect_grace, self._give_up)
        else:
            self._later(session, back_after, self._log_in)

    def restore(self, session: str) -> None:
        """Let a line that was dropped come back now."""
        self._held(session)
        self._soon(session, self._log_in)

    def log_out(self, session: str, reason: str = "logged_out") -> None:
        """Let the owner remove the linked device on the phone."""
        self._forget_device(self._held(session))
        self._end(session, LoggedOut(session, reason))

    def replace(self, session: str) -> None:
        """Let another client take over the linked device."""
        self._end(session, Replaced(session))

    def ban(self, session: str, expires_in: float | None, code: int = 101) -> None:
        """Ban the account for `expires_in` seconds."""
        self._end(session, Banned(session, code, expires_in, "send_to_too_many_people"))

    def outdated(self, session: str) -> None:
        """Refuse the library's version."""
        self._end(session, ClientOutdated(session))

    def kill_host(self, session: str, reason: str = "signal 9") -> list[str]:
        """End the session's host process with all that is in it; returns the sessions it held."""
        host = self._held(session).host
        lost = sorted(host.sessions)
        for name in lost:
            self._sessions.pop(name).set_timer(None)
        if host in self._hosts.running:
            self._hosts.running.remove(host)
        self._event_queue.put(HostExited(host.id, host.pid, lost, reason))
        return lost
