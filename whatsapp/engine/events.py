"""What an engine reports to the session pool.

Fields as in `protocol.py`: times in seconds (`at` since the epoch), phones as digits without a plus.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypedDict

BREAKS_AGAIN = "the line breaks again and again"  # how such a ConnectFailed's reason begins


class NumberResult(TypedDict):
    """Whether a phone number has WhatsApp, and under which names it is known there."""

    phone: str
    jid: str | None
    lid: str | None
    on_whatsapp: bool


class MediaReference(TypedDict):
    """Where WhatsApp keeps a message's file, and how it is opened. `kind` is image, video, audio, voice,
    document or sticker; mime, name and size are the sender's words. Bytes are base64."""

    kind: str
    mime: str
    name: str
    size: int
    path: str
    key: str
    sha256: str
    sealed_sha256: str


class Location(TypedDict):
    """A place on the map, in degrees."""

    latitude: float
    longitude: float
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class QrCode:
    """A QR text to show, good for `lifetime` seconds; the next one replaces it."""

    session: str
    text: str = field(repr=False)
    lifetime: float


@dataclass(frozen=True, slots=True)
class PairingCode:
    """A code to type on the phone, such as `6R4J-8Q3R`, good for `lifetime` seconds."""

    session: str
    code: str = field(repr=False)
    lifetime: float


@dataclass(frozen=True, slots=True)
class PairingCodeFailed:
    """No pairing code; `code` is a machine word: not_waiting, rate_limited, bad_phone or failed."""

    session: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class PairingEnded:
    """The attempt is over without a link: the codes ran out, or linking failed. Stopped follows."""

    session: str
    reason: Literal["timeout", "error"]
    detail: str


@dataclass(frozen=True, slots=True)
class Connected:
    """The session is logged in and usable; also after every reconnect."""

    session: str
    phone: str = field(repr=False)
    jid: str = field(repr=False)
    lid: str | None = field(repr=False)
    push_name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The line is lost. The engine tries again by itself for a while: Connected or ConnectFailed follows."""

    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """The link was removed, on the phone or by WhatsApp. The key store is worthless. Stopped follows."""

    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another client took over this linked device. Stopped follows."""

    session: str


@dataclass(frozen=True, slots=True)
class Banned:
    """The account is banned for `expires_in` seconds (None: unknown). Stopped follows."""

    session: str
    code: int
    expires_in: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class ClientOutdated:
    """WhatsApp no longer accepts this version of the library. Stopped follows."""

    session: str


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """The session cannot connect; `permanent` when trying again cannot help. Stopped follows."""

    session: str
    reason: str
    permanent: bool


@dataclass(frozen=True, slots=True)
class KeepAliveTimeout:
    """WhatsApp does not answer keep-alives; the line may be dead."""

    session: str


@dataclass(frozen=True, slots=True)
class KeepAliveRestored:
    """WhatsApp answers keep-alives again."""

    session: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The engine holds nothing of this session any more."""

    session: str


@dataclass(frozen=True, slots=True)
class Sent:
    """WhatsApp's server has acknowledged the message; receipts will name `wa_message_id`."""

    session: str
    ref: str
    wa_message_id: str


@dataclass(frozen=True, slots=True)
class SendFailed:
    """The message was not acknowledged.

    `error` starts with a machine word and a colon: `not_connected`, `refused` and `failed` mean that it
    did not go out, as do `upload_failed`, `too_large` and `unsupported` of media; `timeout` means that
    nobody knows whether it did.
    """

    session: str
    ref: str
    error: str
    permanent: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """The recipient's phone received or showed these messages; never before Sent. Match by id only."""

    session: str
    message_ids: list[str]
    kind: Literal["delivered", "read"]
    at: float


@dataclass(frozen=True, slots=True)
class NumbersChecked:
    """Answer to CheckNumbers, in the order of the question; `error` is None when it succeeded."""

    session: str
    ref: str
    results: list[NumberResult] = field(repr=False)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message of a person to the salon. `note` names what is not text, such as `image`; the text of one
    with a file is its caption."""

    session: str
    wa_message_id: str
    phone: str | None = field(repr=False)
    lid: str | None = field(repr=False)
    text: str | None = field(repr=False)
    note: str | None
    at: float
    media: MediaReference | None = field(default=None, repr=False)
    location: Location | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MediaUploaded:
    """The file of a SendMedia is at WhatsApp and its message is being sent, between host and supervisor
    only: before it, nothing can have gone out."""

    session: str
    ref: str


@dataclass(frozen=True, slots=True)
class LogoutDone:
    """Answer to Logout, between host and supervisor only; `error` is None when it succeeded."""

    session: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer to Ping, between host and supervisor only."""

    nonce: int
    rss_bytes: int
    threads: int
    sessions: int


@dataclass(frozen=True, slots=True)
class HostStarted:
    """A host process was started."""

    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class HostExited:
    """A host process is gone. The engine holds nothing any more of the sessions named here:
    no Stopped follows for them, and starting them again is the pool's to decide."""

    host: str
    pid: int
    sessions: list[str]
    reason: str


SessionEvent = (
    QrCode
    | PairingCode
    | PairingCodeFailed
    | PairingEnded
    | Connected
    | Disconnected
    | LoggedOut
    | Replaced
    | Banned
    | ClientOutdated
    | ConnectFailed
    | KeepAliveTimeout
    | KeepAliveRestored
    | Stopped
    | Sent
    | SendFailed
    | Receipt
    | NumbersChecked
    | Incoming
    | MediaUploaded
    | LogoutDone
)
Event = SessionEvent | Pong | HostStarted | HostExited

# What concerns messages: the library has confirmed it to WhatsApp, which repeats nothing of it.
MessageEvent = Sent | Receipt | Incoming

# The engine stops a session by itself after one of these.
TERMINAL_EVENTS = (PairingEnded, LoggedOut, Replaced, Banned, ClientOutdated, ConnectFailed)
