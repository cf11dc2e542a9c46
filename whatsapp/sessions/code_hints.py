"""What a page hears of a new QR code, so that it can show the code before it has read the row.

It comes by PostgreSQL's NOTIFY, sent by the statement that writes the row (`code_writes`): it is heard if,
and only if, that is committed. It may be lost all the same: pages also poll. On SQLite they read their rows.

The code is a secret, and whoever scans another's code links a phone to a stranger's session. The hint is
therefore encrypted and signed, and names its session; a page takes it only onto a row that it has read and
that it follows by one version: then nothing else that the page shows has changed since. A hint that is kept
and sent later brings a code of the past, which is shown no longer than it is good for.
"""

import asyncio
import base64
import contextlib
import copy
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from config.shared.event_loops import OnePerLoop
from config.shared.listening import listen_for_ever
from whatsapp.crypto import encryption
from whatsapp.models import Session

CHANNEL = "whatsapp_codes"
PURPOSE = "code hint"
LONGEST = 7000  # bytes; PostgreSQL takes 8,000 with the session and its version before them

# Gets a hint as it came, for `unseal`; None when hints may have been missed.
HintHandler = Callable[[str | None], None]


@dataclass(frozen=True, slots=True)
class CodeHint:
    """What one committed write has put into a session's row."""

    session_id: uuid.UUID
    version: int
    status: str
    qr: str
    qr_expires_at: datetime

    def follows(self, row: Session) -> bool:
        """The write came right after the one that left `row` as it is."""
        return self.session_id == row.pk and self.version == row.version + 1

    def applied_to(self, row: Session) -> Session:
        """Return a copy of `row` with what was written."""
        changed = copy.copy(row)
        changed.version, changed.status = self.version, self.status
        changed.qr, changed.qr_expires_at = self.qr, self.qr_expires_at
        return changed


def seal(session_id: uuid.UUID, *, status: str, qr: str, qr_expires_at: datetime) -> str:
    """Return a hint as text that nobody without our keys can read or make, without the row's next version.

    That is known to the statement that sends it. Empty when it would be too long: the page reads its row.
    """
    written = [str(session_id), status, qr, qr_expires_at.isoformat()]
    sealed = base64.b64encode(encryption.seal(json.dumps(written).encode(), purpose=PURPOSE)).decode()
    return sealed if len(sealed) <= LONGEST else ""


def unseal(hint: str) -> CodeHint | None:
    """Return a hint of ours, as a handler gets it: `version sealed`; None for anything else."""
    version, _space, sealed = hint.partition(" ")
    try:
        plain = encryption.unseal(base64.b64decode(sealed, validate=True), purpose=PURPOSE)
        if plain is None:
            return None
        session_id, status, qr, qr_expires_at = json.loads(plain)
        return CodeHint(
            uuid.UUID(session_id), int(version), status, qr, datetime.fromisoformat(qr_expires_at)
        )
    except ValueError:
        return None


class _Subscribers:
    """Who hears of codes in one event loop, by session; all by one connection, which ends with the loop."""

    def __init__(self) -> None:
        self.by_session: dict[str, set[HintHandler]] = {}
        self.listening = asyncio.Event()
        self.task: asyncio.Task[None] = asyncio.create_task(
            listen_for_ever(CHANNEL, self._dispatch, self._resync), name=f"listen:{CHANNEL}"
        )

    def _dispatch(self, payload: str) -> None:
        session_id, _space, hint = payload.partition(" ")
        for handler in self.by_session.get(session_id, ()):
            handler(hint)

    def _resync(self) -> None:
        self.listening.set()
        for handlers in self.by_session.values():
            for handler in handlers:
                handler(None)


_subscribers = OnePerLoop(_Subscribers)


async def wait_until_listening() -> None:
    """Return when this event loop hears of codes, as it does from then on; at once on SQLite."""
    if connection.vendor == "postgresql":
        await _subscribers.get().listening.wait()


@contextlib.contextmanager
def subscribed(handler: HintHandler, session_id: uuid.UUID) -> Iterator[None]:
    """Let `handler` be called with each hint of the session's codes, in the running event loop."""
    if connection.vendor != "postgresql":
        yield
        return
    by_session, key = _subscribers.get().by_session, str(session_id)
    by_session.setdefault(key, set()).add(handler)
    try:
        yield
    finally:
        by_session[key].discard(handler)
        if not by_session[key]:
            del by_session[key]
