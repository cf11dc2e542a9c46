"""The port itself."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from whatsapp.engine import EngineError, HostInfo
from whatsapp.engine.commands import SendMedia
from whatsapp.engine.events import (
    ConnectFailed,
    Event,
    MediaReference,
    NumberResult,
    NumbersChecked,
    PairingCode,
    PairingCodeFailed,
    SendFailed,
    Sent,
    Stopped,
)
from whatsapp.engine.media_download import MediaError
from whatsapp.engine.outgoing_media import refusal
from whatsapp.engine.simulated.controls import Controls
from whatsapp.engine.simulated.core import HeldSession, SentFile, SentText
from whatsapp.engine.simulated.store import lid_of, read_device, write_device
from whatsapp.engine.store import store_problem

CODE_LETTERS = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"


class SimulatedEngine(Controls):
    """See `whatsapp.engine.Engine`."""

    async def start(self, session: str, store_path: Path, *, pairing: bool) -> None:
        if session in self._sessions:
            self._let_go(session)
        held = HeldSession(store_path, self._place(session, pairing=pairing))
        self._sessions[session] = held
        problem = store_problem(store_path)
        if self.script.connect_failure is not None:
            reason, permanent = self.script.connect_failure
            self._end(session, ConnectFailed(session, reason, permanent))
        elif problem is None:
            held.device = read_device(store_path)
            self._soon(session, self._log_in)
        elif pairing:
            write_device(store_path, None)
            self._soon(session, self._next_qr)
        else:
            self._end(session, ConnectFailed(session, problem, permanent=True))

    async def stop(self, session: str) -> None:
        if session in self._sessions:
            self._let_go(session)
            self._event_queue.put(Stopped(session))

    async def logout(self, session: str) -> None:
        held = self._connected(session)
        if self.script.logout_failure is not None:
            raise EngineError(f"The device could not be removed: {self.script.logout_failure}.")
        self._forget_device(held)
        await self.stop(session)

    async def request_pairing_code(self, session: str, phone: str) -> None:
        held = self._held(session)
        if held.device is not None or held.qr_codes == 0:
            failure = PairingCodeFailed(session, "not_waiting", "No linking is under way.")
            self._event_queue.put(failure)
        elif self.script.pairing_code_failures:
            code, message = self.script.pairing_code_failures.pop(0)
            self._event_queue.put(PairingCodeFailed(session, code, message))
        else:
            letters = "".join(secrets.choice(CODE_LETTERS) for _ in range(8))
            held.pairing_code, held.pairing_phone = f"{letters[:4]}-{letters[4:]}", phone
            lifetime = self._pairing_code_lifetime * self._pace
            self._event_queue.put(PairingCode(session, held.pairing_code, lifetime))

    async def send(self, session: str, ref: str, phone: str, text: str) -> None:
        self._send(session, ref, phone, text, None)

    async def send_media(self, message: SendMedia) -> None:
        session, ref = message.session, message.ref
        self._held(session)
        if refused := refusal(message):
            self._event_queue.put(refused)
        elif known := self._acknowledged_files.get((session, ref)):
            self._event_queue.put(known)
        else:
            digest = hashlib.sha256(message.data).hexdigest()
            file = SentFile(message.kind, message.mime, message.file_name, len(message.data), digest)
            self._send(session, ref, message.phone, message.caption, file)

    def _send(self, session: str, ref: str, phone: str, text: str, file: SentFile | None) -> None:
        held = self._held(session)
        if held.device is None:
            raise EngineError("The session is not linked.")
        if not held.connected:
            failure = SendFailed(session, ref, "not_connected: the line is down", permanent=False)
            self._event_queue.put(failure)
        elif self.script.send_failures:
            error, permanent = self.script.send_failures.pop(0)
            self._event_queue.put(SendFailed(session, ref, error, permanent))
        elif self.script.lost_answers:
            if self.script.lost_answers.pop(0):
                self._accept(session, ref, phone, text, file)
        else:
            message = self._accept(session, ref, phone, text, file)
            if self.script.receipts_first:
                self.deliver(session, message.wa_message_id)
            sent = Sent(session, ref, message.wa_message_id)
            if file:
                self._acknowledged_files[session, ref] = sent
            self._event_queue.put(sent)
            if self.script.auto_deliver:
                self.deliver(session, message.wa_message_id)

    async def check_numbers(self, session: str, ref: str, phones: list[str]) -> None:
        held = self._held(session)
        if not held.connected:
            error = "not_connected: the line is down"
            self._event_queue.put(NumbersChecked(session, ref, [], error))
            return
        self._event_queue.put(NumbersChecked(session, ref, [self._number(phone) for phone in phones]))

    async def download(self, reference: MediaReference, *, max_bytes: int, seconds: float) -> bytes:
        if self.script.download_failures:
            raise self.script.download_failures.pop(0)
        if (hangs := self.script.hanging_download) is not None:
            hangs.set()
            await asyncio.Event().wait()
        data = self.files.get(reference["path"])
        if data is None:
            raise MediaError("gone: WhatsApp keeps this file no more", permanent=True)
        if max(len(data), reference["size"]) > max_bytes:
            raise MediaError("too_large: the file is larger than what is kept", permanent=True)
        return data

    def permit(self, until: float) -> None:
        self.permitted_until = until

    async def close(self) -> None:
        for session in list(self._sessions):
            await self.stop(session)
        self._event_queue.close()

    def events(self) -> AsyncIterator[Event]:
        return self._event_queue.events()

    async def drained(self) -> None:
        await self._event_queue.drained()

    def hosts(self) -> list[HostInfo]:
        return [host.info() for host in self._hosts.running]

    def owns(self, session: str) -> bool:
        return session in self._sessions

    def host_of(self, session: str) -> str:
        return self._sessions[session].host.id if session in self._sessions else ""

    def _accept(self, session: str, ref: str, phone: str, text: str, file: SentFile | None) -> SentText:
        message = SentText(session, ref, phone, text, f"3EB0{secrets.token_hex(9).upper()}", file)
        self.sent.append(message)
        return message

    def _number(self, phone: str) -> NumberResult:
        if phone in self.script.not_on_whatsapp:
            return NumberResult(phone=phone, jid=None, lid=None, on_whatsapp=False)
        jid = f"{phone}@s.whatsapp.net"
        return NumberResult(phone=phone, jid=jid, lid=lid_of(phone), on_whatsapp=True)
