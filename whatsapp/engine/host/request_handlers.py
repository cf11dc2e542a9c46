"""The commands that call the library, and the events that answer them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from whatsapp.engine.commands import CheckNumbers, Command, Logout, RequestPairingCode, Send
from whatsapp.engine.events import (
    Event,
    LogoutDone,
    MediaUploaded,
    NumberResult,
    NumbersChecked,
    PairingCode,
    PairingCodeFailed,
    Sent,
)
from whatsapp.engine.host import translate
from whatsapp.engine.host.library import LibraryError
from whatsapp.engine.host.listener import Listener
from whatsapp.engine.host.uploads import Uploaded

# WhatsApp takes a code for about 60 s; some are gone before a person sees it.
PAIRING_CODE_LIFETIME = 50.0


def handle(session: Listener, command: Command | Uploaded, write: Callable[[Event], None]) -> None:
    """Carry the command out and write its answer. Blocks for as long as WhatsApp takes."""
    if isinstance(command, Send):
        with session.hold_receipts():
            write(_send(session, command))
    elif isinstance(command, Uploaded):
        with session.hold_receipts():
            write(MediaUploaded(session.id, command.command.ref))
            write(_send_media(session, command))
    elif isinstance(command, CheckNumbers):
        write(_check_numbers(session, command))
    elif isinstance(command, RequestPairingCode):
        write(_pairing_code(session, command))
    elif isinstance(command, Logout):
        write(_logout(session))


def _send(session: Listener, command: Send) -> Event:
    try:
        with session.library() as client:
            return Sent(session.id, command.ref, client.send_text(command.phone, command.text))
    except LibraryError as error:
        return translate.send_failure(session.id, command.ref, str(error))


def _send_media(session: Listener, uploaded: Uploaded) -> Event:
    command = uploaded.command
    try:
        with session.library() as client:
            return Sent(session.id, command.ref, client.send_media(command, uploaded.file))
    except LibraryError as error:
        return translate.send_failure(session.id, command.ref, str(error))


def _check_numbers(session: Listener, command: CheckNumbers) -> Event:
    try:
        with session.library() as client:
            answers = client.numbers(command.phones)
    except LibraryError as error:
        reason = translate.without_numbers(str(error))
        return NumbersChecked(session.id, command.ref, [], reason)
    # The query is the number as it was asked; the JID may differ from it (old Brazilian numbers).
    known = {answer.Query.lstrip("+") or answer.JID.User: answer for answer in answers}
    results = [_number(session, phone, known.get(phone)) for phone in command.phones]
    return NumbersChecked(session.id, command.ref, results)


def _number(session: Listener, phone: str, answer: Any) -> NumberResult:
    if answer is None or not answer.IsIn:
        return NumberResult(phone=phone, jid=None, lid=None, on_whatsapp=False)
    jid = translate.bare_jid_text(answer.JID)
    return NumberResult(phone=phone, jid=jid, lid=_stored_lid(session, phone), on_whatsapp=True)


def _stored_lid(session: Listener, phone: str) -> str | None:
    try:
        with session.library() as client:
            return translate.bare_jid_text(client.lid_of(phone))
    except LibraryError:
        return None  # WhatsApp has sent no LID for this number; it is optional.


def _pairing_code(session: Listener, command: RequestPairingCode) -> Event:
    if not session.qr_waiting:
        return PairingCodeFailed(session.id, "not_waiting", "No linking is under way.")
    try:
        with session.library() as client:
            code = client.pairing_code(command.phone)
    except LibraryError as error:
        return translate.pairing_code_failure(session.id, str(error))
    return PairingCode(session.id, code, PAIRING_CODE_LIFETIME)


def _logout(session: Listener) -> Event:
    session.logging_out = True
    try:
        with session.library() as client:
            client.logout()
    except LibraryError as error:
        session.logging_out = False
        return LogoutDone(session.id, translate.without_numbers(str(error)))
    return LogoutDone(session.id, None)
