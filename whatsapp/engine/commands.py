"""What the session pool asks of an engine, and the engine of its host processes.

Fields as in `protocol.py`: phones as digits without a plus, `session` a uuid as text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Start:
    """Connect a session from its key store; with `pairing`, link a new device when the store has none; with
    `repeats`, first repeat what the last run's spool holds."""

    session: str
    store_path: str
    pairing: bool
    repeats: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Close a session's connection. The device stays linked."""

    session: str


@dataclass(frozen=True, slots=True)
class Logout:
    """Remove the linked device at WhatsApp; answered by LogoutDone."""

    session: str


@dataclass(frozen=True, slots=True)
class RequestPairingCode:
    """Ask for a code to type on the phone; only while a QR code is waiting."""

    session: str
    phone: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text; `ref` is the caller's own name of the message and comes back in the answer."""

    session: str
    ref: str
    phone: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendMedia:
    """Send one picture or document; `ref` as in Send.

    `caption` may be empty; so may `file_name`, the name under which a document is shown and saved. What
    `data` and the rest must be is in `outgoing_media`.
    """

    session: str
    ref: str
    phone: str = field(repr=False)
    kind: Literal["image", "document"]
    mime: str
    file_name: str = field(repr=False)
    caption: str = field(repr=False)
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class CheckNumbers:
    """Ask which of these phone numbers have WhatsApp."""

    session: str
    ref: str
    phones: list[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask a host whether it lives and what it costs.

    Without another ping it ends itself at `until`, a moment of the machine's monotonic clock.
    """

    nonce: int
    until: float


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop every session of a host and end the process."""


# What is named by a reference that comes back in the answer.
Answerable = Send | SendMedia | CheckNumbers
Command = Start | Stop | Logout | RequestPairingCode | Answerable | Ping | Shutdown
