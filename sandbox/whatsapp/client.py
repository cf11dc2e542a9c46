"""What the hub and the request handlers may know of a connected client, its socket and its linking."""

from __future__ import annotations

from typing import Any, Protocol

from .account import Account, Device
from .node import Node
from .refusal import Refused


class Line(Protocol):
    """The socket below a client."""

    @property
    def closed(self) -> bool: ...

    def send(self, data: bytes) -> None: ...

    def close(self) -> None:
        """Close in good order."""

    def abort(self) -> None:
        """Cut at once."""


class Client(Protocol):
    """A connection, before and after its login. ``key`` is (phone, device) once logged in."""

    peer: str
    client_static: bytes
    key: tuple[str, int]
    account: Account | None
    device: Device | None
    pairing: Registration | None
    linked: bool
    ending: bool

    @property
    def phone(self) -> str: ...

    def new_id(self) -> str:
        """An id for a request of the server."""

    def send(self, node: Node) -> None: ...

    def end(self, last: Node, reason: str) -> None:
        """Send a last stanza and close a little later."""

    def drop(self, reason: str) -> None:
        """Cut the line at once."""


class Registration(Protocol):
    """The linking of a client that has no account yet; ``data`` is its devicePairingData."""

    data: Any
    code: CodeRegistration | None

    def shows(self, ref: str) -> bool: ...

    def answered(self, iq: Node) -> None: ...

    def abandon(self) -> None: ...

    async def link(self, account: Account, adv_secret: bytes) -> Device: ...


class CodeRegistration(Protocol):
    """A client's wish to be linked by a code that is typed on the phone of number ``phone``."""

    phone: str
    ref: str
    started: float
    connection: Client

    def finished(self, request: Node) -> None: ...

    def abandon(self, error: Refused) -> None: ...

    async def enter(self, account: Account, code: str) -> bytes: ...
