"""Writing the QR codes that owners wait for: as `leases.write`, with less between the engine and the pages.

Threads with connections of their own, which are kept: taking one from the pool and giving it back costs as
much as the write. The statement is ready: Django builds one anew each time, for more than PostgreSQL takes.
What comes while one batch is written is the next one, by one statement and one commit.
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
from whatsapp.sessions.code_hints import CodeHint
from whatsapp.sessions.leases import Lease, LeaseLost

_UPDATE = (
    "UPDATE whatsapp_session SET status = %s, qr = %s, qr_expires_at = %s, updated_at = %s,"
    " version = version + 1 WHERE id = %s AND lease_owner = %s AND lease_token = %s RETURNING version"
)
# Rows that another transaction holds are left out: two that lock several rows could wait for each other's.
_UPDATE_MANY = (
    "WITH codes AS (SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],"
    " %s::uuid[], %s::text[], %s::bigint[])"
    " AS code (status, qr, qr_expires_at, updated_at, id, owner, token)),"
    " free AS (SELECT id FROM whatsapp_session WHERE id IN (SELECT id FROM codes)"
    " FOR NO KEY UPDATE SKIP LOCKED)"
    " UPDATE whatsapp_session AS session SET status = codes.status, qr = codes.qr,"
    " qr_expires_at = codes.qr_expires_at, updated_at = codes.updated_at, version = version + 1"
    " FROM codes JOIN free USING (id) WHERE session.id = codes.id"
    " AND lease_owner = codes.owner AND lease_token = codes.token RETURNING session.id, version"
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
    """Write the code and, when it is committed, push it to the pages of the session.

    Raises LeaseLost when the lease is not ours any more. A session's next code may be written only when this
    has returned: codes that wait together are written in no order.
    """
    hint = await _writes.submit(QrWrite(lease, status, qr, qr_expires_at))
    hints.push(lease.session_id, news=hint.seal())


def _write(writes: list[QrWrite]) -> list[CodeHint | LeaseLost]:
    versions = on_live_connection(_write_many, writes) if len(writes) > 1 else {}
    for write in writes:
        if write.lease.session_id not in versions:
            versions[write.lease.session_id] = on_live_connection(_write_one, write)
    return [_result(write, versions[write.lease.session_id]) for write in writes]


def _result(write: QrWrite, version: int | None) -> CodeHint | LeaseLost:
    session_id = write.lease.session_id
    if version is None:
        return LeaseLost(f"session {session_id}")
    return CodeHint(session_id, version, write.status, write.qr, write.qr_expires_at)


def _write_one(write: QrWrite) -> int | None:
    """Write one code; the row's new version, None without the lease."""
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE, _values(write))
        row = cursor.fetchone()
    return row[0] if row else None


def _write_many(writes: list[QrWrite]) -> dict[uuid.UUID, int | None]:
    """Write what can be written together; the new versions by session. The others are to be written alone."""
    if connection.vendor != "postgresql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE_MANY, [list(column) for column in zip(*map(_values, writes), strict=True)])
        return dict(cursor.fetchall())


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


_writes: Batches[QrWrite, CodeHint] = Batches(
    with_kept_connection(_write), name="code-writes", threads=2, largest=64
)
