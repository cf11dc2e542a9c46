"""The WhatsApp library, neonize (whatsmeow). This is the only module of the product that imports it.

Every method here reaches into the library's unlocked maps: see `lock.py`.
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neonize
import neonize.client
from neonize import events
from neonize.client import NewClient
from neonize.exc import NeonizeError
from neonize.proto.waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    DocumentMessage,
    FutureProofMessage,
    ImageMessage,
    Message,
)
from neonize.utils.enum import ClientName, ClientType, MediaType
from neonize.utils.jid import build_jid
from neonize.utils.log import log as library_log
from neonize.utils.platform import generated_name

from whatsapp.engine.commands import SendMedia

EVENTS = (
    events.ConnectedEv,
    events.DisconnectedEv,
    events.LoggedOutEv,
    events.StreamReplacedEv,
    events.TemporaryBanEv,
    events.ConnectFailureEv,
    events.ClientOutdatedEv,
    events.StreamErrorEv,
    events.PairStatusEv,
    events.KeepAliveTimeoutEv,
    events.KeepAliveRestoredEv,
    events.MessageEv,
    events.ReceiptEv,
)

LibraryError = NeonizeError


MEDIA_TYPES = {"image": MediaType.MediaImage, "document": MediaType.MediaDocument}


class InPlace:
    """Takes the place of the thread in which the library's `connect` runs its blocking call.

    `connect` starts a thread and wakes five times a second until it has ended, to notice a Ctrl+C, which a
    host never gets. Run in place, the call blocks the thread that `connect` was called on: one thread a
    session instead of two, and none that polls.
    """

    def __init__(self, *, target: Callable[[], None], name: str, daemon: bool) -> None:
        self._target = target

    def start(self) -> None:
        """Run to the end."""
        self._target()

    def join(self) -> None:
        """It has ended."""


neonize.client.Thread = InPlace


def shared_object() -> Path:
    """The library's compiled part, as it is loaded in this process."""
    name: str = generated_name()
    return (Path(neonize.__file__).parent / name).resolve()


def set_log_level(name: str) -> None:
    """Set the level of the library's Python and Go logs; DEBUG writes whole protocol messages."""
    level = logging.getLevelNamesMapping()[name]
    logging.getLogger().setLevel(level)
    library_log.setLevel(level)  # Go's level is read from this logger at every connect.


def media_message(command: SendMedia, file: Any) -> Message:
    """The message about an uploaded file. The library's own builders want Pillow for a thumbnail; phones
    show a picture without one when they have fetched it."""
    said = {
        "URL": file.url,
        "directPath": file.DirectPath,
        "mediaKey": file.MediaKey,
        "mediaKeyTimestamp": int(time.time()),
        "fileEncSHA256": file.FileEncSHA256,
        "fileSHA256": file.FileSHA256,
        "fileLength": file.FileLength,
        "mimetype": command.mime,
        "caption": command.caption or None,
    }
    if command.kind == "image":
        return Message(imageMessage=ImageMessage(**said))
    document = Message(documentMessage=DocumentMessage(**said, fileName=command.file_name or None))
    if not command.caption:
        return document
    # Phones show a document's caption only in this envelope; the bridge mautrix-whatsapp does the same.
    return Message(documentWithCaptionMessage=FutureProofMessage(message=document))


class Client(NewClient):  # type: ignore[misc]  # the package ships no types
    """One linked device. Callbacks run on foreign threads, in order."""

    def __init__(
        self,
        *,
        store_path: str,
        name: str,
        device_name: str,
        on_qr: Callable[[str], None],
        on_login_status: Callable[[str], None],
        on_event: Callable[[str, Any], None],
    ) -> None:
        props = DeviceProps(os=device_name, platformType=DeviceProps.CHROME)
        super().__init__(store_path, props=props, uuid=name)
        # The finalizer would write the library's maps whenever Python collects the object.
        self._stop_finalizer.detach()
        self._on_login_status = on_login_status
        self.event.qr(lambda _client, text: on_qr(text.decode()))
        for kind in EVENTS:
            self.event(kind)(lambda _client, event: on_event(type(event).__name__, event))

    def _NewClient__onLoginStatus(self, _name: int, status: int) -> None:  # noqa: N802
        """How a pairing attempt ended. The library only prints the pointer; it points to a word."""
        self._on_login_status(ctypes.string_at(status).decode())

    def identity(self) -> Any:
        """The device's own JID, LID and PushName."""
        return self.get_me()

    def pairing_code(self, phone: str) -> str:
        """A code such as `6R4J-8Q3R`. WhatsApp accepts only names of common browsers and systems."""
        return str(self.PairPhone(phone, True, ClientName.LINUX, ClientType.CHROME))

    def send_text(self, phone: str, text: str) -> str:
        """Send and return the id that the library chose. A ready message: no parsing of mentions."""
        return str(self.send_message(build_jid(phone), Message(conversation=text)).ID)

    def upload_file(self, kind: str, data: bytes) -> Any:
        """Encrypt a picture or document and bring it to WhatsApp; where it is and how it is opened. Waits
        as long as WhatsApp's media host likes."""
        return self.upload(data, MEDIA_TYPES[kind])

    def send_media(self, command: SendMedia, file: Any) -> str:
        """Send a message with an uploaded file and return the id that the library chose."""
        return str(self.send_message(build_jid(command.phone), media_message(command, file)).ID)

    def numbers(self, phones: list[str]) -> list[Any]:
        """One answer for each number WhatsApp knows something of, with JID, IsIn and Query."""
        return list(self.is_on_whatsapp(*(f"+{phone}" for phone in phones)))

    def lid_of(self, phone: str) -> Any:
        """The LID stored for a phone number, as a JID; raises LibraryError without one."""
        return self.get_lid_from_pn(build_jid(phone))
