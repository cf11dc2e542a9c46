"""Writing the QR codes that owners wait for: as `leases.write`, with less between the engine and the pages.

Threads with connections of their own, which are kept: taking one from the pool and giving it back costs as
much as the write. The statement is ready: Django builds one anew each time, for more than PostgreSQL takes.
It also tells the pages (`code_hints`), which so hear of the code at its commit. What comes while one batch is
written is the next one, by one statement and one commit.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from config.shared import hints
from config.shared.batches import Batches
from config.shared.database import on_live_connection, with_kept_connection
from whatsapp.models import Session
from whatsapp.sessions import code_hints
from whatsapp.sessions.leases import Lease, LeaseLost

_UPDATE = (
    "UPDATE whatsapp_session SET status = %s, qr = %s, qr_expires_at = %s, updated_at = %s,"
    " version = version + 1 WHERE id = %s AND lease_owner = %s AND lease_token = %s RETURNING id, version"
)
_UPDATE_AND_NOTIFY = (
    f"WITH written AS ({_UPDATE})"  # noqa: S608  our own text
    " SELECT id, pg_notify(%s, id || ' ' || version || ' ' || %s) FROM written"
)
# Rows that another transaction holds are left out: two that lock several rows could wait for each other's.
_UPDATE_MANY_AND_NOTIFY = (
    "WITH codes AS (SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],"
    " %s::uuid[], %s::text[], %s::bigint[], %s::text[])"
    " AS code (status, qr, qr_expires_at, updated_at, id, owner, token, hint)),"
    " free AS (SELECT id FROM whatsapp_session WHERE id IN (SELECT id FROM codes)"
    " FOR NO KEY UPDATE SKIP LOCKED),"
    " written AS (UPDATE whatsapp_session AS session SET status = codes.status, qr = codes.qr,"
    " qr_expires_at = codes.qr_expires_at, updated_at = codes.updated_at, version = version + 1"
    " FROM codes JOIN free USING (id) WHERE session.id = codes.id"
    " AND lease_owner = codes.owner AND lease_token = codes.token RETURNING session.id, version, hint)"
    " SELECT id, pg_notify(%s, id || ' ' || version || ' ' || hint) FROM written"
)
_COLUMNS = {column.name: column for column in Session._meta.concrete_fields}


@dataclass(frozen=True, slots=True)
class QrWrite:
    """A code to be written under a lease."""

    lease: Lease
    status: str
    qr: str
    qr_expires_at: datetime


async def write_qr(lease: Lease, *, status: str, qr: str, qr_expires_at: datetime) -> None:
    """Write the code, and tell the pages of the session when it is committed.

    Raises LeaseLost when the lease is not ours any more. A session's next code may be written only when this
    has returned: codes that wait together are written in no order.
    """
    await _writes.submit(QrWrite(lease, status, qr, qr_expires_at))
    if connection.vendor != "postgresql":
        hints.push(lease.session_id)


def _write(writes: list[QrWrite]) -> list[LeaseLost | None]:
    written = on_live_connection(_write_many, writes) if len(writes) > 1 else set()
    for write in writes:
        if write.lease.session_id not in written:
            written |= on_live_connection(_write_one, write)
    return [
        None if write.lease.session_id in written else LeaseLost(f"session {write.lease.session_id}")
        for write in writes
    ]


def _write_one(write: QrWrite) -> set[uuid.UUID]:
    """Write one code; the session of a row that was written, nothing without the lease."""
    if connection.vendor == "postgresql":
        return _execute(_UPDATE_AND_NOTIFY, [*_values(write), code_hints.CHANNEL, _hint(write)])
    return _execute(_UPDATE, _values(write))


def _write_many(writes: list[QrWrite]) -> set[uuid.UUID]:
    """Write what can be written together; the sessions of these. The others are to be written alone."""
    if connection.vendor != "postgresql":
        return set()
    rows = [[*_values(write), _hint(write)] for write in writes]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return _execute(_UPDATE_MANY_AND_NOTIFY, [*columns, code_hints.CHANNEL])


def _execute(statement: str, values: list[Any]) -> set[uuid.UUID]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return {uuid.UUID(str(row[0])) for row in cursor.fetchall()}


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


_writes: Batches[QrWrite, None] = Batches(
    with_kept_connection(_write), name="code-writes", threads=2, largest=64
)
