"""Writing the QR codes that owners wait for: as `leases.write`, with less between the engine and the pages.

One statement writes a code and tells the pages (`code_hints`), which so hear of it at its commit. It goes
through a pipeline, from the event loop to PostgreSQL without a thread. That commit does not wait for the
disk: a code is good for seconds, and one that a server forgets when it loses its power is replaced by the
next (until then pages show what the row says). What the pipeline has not written is written by threads, with
connections of their own that are kept: there a locked row is waited for, and a lost lease or an error raised.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from config.shared import hints
from config.shared.batches import Batches
from config.shared.database import on_live_connection, with_kept_connection
from config.shared.event_loops import OnePerLoop
from config.shared.pipelines import Pipeline
from whatsapp.models import Session
from whatsapp.sessions import code_hints
from whatsapp.sessions.leases import Lease, LeaseLost

_UPDATE = (
    "UPDATE whatsapp_session SET status = %s, qr = %s, qr_expires_at = %s, updated_at = %s,"
    " version = version + 1 WHERE id = %s AND lease_owner = %s AND lease_token = %s RETURNING id, version"
)
_UPDATE_AND_NOTIFY = (
    f"WITH written AS ({_UPDATE})"  # noqa: S608  our own text
    " SELECT pg_notify(%s::text, id || ' ' || version || ' ' || %s::text) FROM written"
)
_OPTIONS = "-c synchronous_commit=off -c lock_timeout=100ms -c application_name=whatsapp_codes"
_COLUMNS = {column.name: column for column in Session._meta.concrete_fields}


@dataclass(frozen=True, slots=True)
class QrWrite:
    """A code to be written under a lease."""

    lease: Lease
    status: str
    qr: str
    qr_expires_at: datetime


def connect() -> Pipeline | None:
    """Begin to connect, so that this event loop's first code is written by the pipeline; none on SQLite."""
    return _pipelines.get() if connection.vendor == "postgresql" else None


async def write_qr(lease: Lease, *, status: str, qr: str, qr_expires_at: datetime) -> None:
    """Write the code, and tell the pages of the session when it is committed.

    Raises LeaseLost when the lease is not ours any more. A session's next code may be written only when this
    has returned: codes that wait together are written in no order.
    """
    write = QrWrite(lease, status, qr, qr_expires_at)
    if connection.vendor != "postgresql":
        await _writes.submit(write)
        hints.push(lease.session_id)
    elif not await _pipelines.get().execute([str(value) for value in _values_and_hint(write)]):
        await _writes.submit(write)


def _write(writes: list[QrWrite]) -> list[LeaseLost | None]:
    return [on_live_connection(_write_one, write) for write in writes]


def _write_one(write: QrWrite) -> LeaseLost | None:
    notifying = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        if notifying:
            cursor.execute(_UPDATE_AND_NOTIFY, _values_and_hint(write))
        else:
            cursor.execute(_UPDATE, _values(write))
        return None if cursor.fetchall() else LeaseLost(f"session {write.lease.session_id}")


def _values_and_hint(write: QrWrite) -> list[Any]:
    return [*_values(write), code_hints.CHANNEL, _hint(write)]


def _hint(write: QrWrite) -> str:
    session_id = write.lease.session_id
    return code_hints.seal(session_id, status=write.status, qr=write.qr, qr_expires_at=write.qr_expires_at)


def _values(write: QrWrite) -> list[Any]:
    """The statements' parameters, as Django stores them."""
    lease = write.lease
    values = {
        "status": write.status,
        "qr": write.qr,
        "qr_expires_at": write.qr_expires_at,
        "updated_at": timezone.now(),
        "id": lease.session_id,
        "lease_owner": lease.owner,
        "lease_token": lease.token,
    }
    return [_COLUMNS[name].get_db_prep_save(value, connection) for name, value in values.items()]


def _numbered(statement: str) -> str:
    """The statement with libpq's placeholders, $1 and so on, instead of %s."""
    first, *others = statement.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, start=1))


_writes: Batches[QrWrite, None] = Batches(
    with_kept_connection(_write), name="code-writes", threads=2, largest=1
)
_pipelines = OnePerLoop(lambda: Pipeline(_numbered(_UPDATE_AND_NOTIFY), name="codes", options=_OPTIONS))
