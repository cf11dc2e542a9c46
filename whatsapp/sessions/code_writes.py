"""Writing the QR code that an owner waits for: as `leases.write`, with less between the engine and the page.

Threads with connections of their own, which are kept: taking one from the pool and giving it back costs as
much as the write. The statement is ready: Django builds one anew each time, for more than PostgreSQL takes.
"""

from dataclasses import dataclass
from datetime import datetime

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

    Raises LeaseLost when the lease is not ours any more.
    """
    hint = await _writes.submit(QrWrite(lease, status, qr, qr_expires_at))
    hints.push(lease.session_id, news=hint.seal())


def _write(writes: list[QrWrite]) -> list[CodeHint]:
    return [on_live_connection(_write_one, each) for each in writes]


def _write_one(write: QrWrite) -> CodeHint:
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
    prepared = [_COLUMNS[name].get_db_prep_save(value, connection) for name, value in values.items()]
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE, prepared)
        row = cursor.fetchone()
    if row is None:
        raise LeaseLost(f"session {lease.session_id}")
    return CodeHint(lease.session_id, row[0], write.status, write.qr, write.qr_expires_at)


# One write at a time: several in one transaction could wait for each other's rows.
_writes: Batches[QrWrite, CodeHint] = Batches(
    with_kept_connection(_write), name="code-writes", threads=2, largest=1
)
