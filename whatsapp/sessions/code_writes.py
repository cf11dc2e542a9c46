"""Writing the QR codes that owners wait for: as `leases.write`, with less between the engine and the pages.

One statement writes a code and tells the pages (`code_hints`), which so hear of it at its commit. It goes
through a pipeline, from the event loop to PostgreSQL without a thread. That commit does not wait for the
disk: a code is good for seconds, and one that a server forgets when it loses its power is replaced by the
next (until then pages show what the row says). What the pipeline has not written is written by a thread:
there a locked row is waited for, and a lost lease or an error raised.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from config.shared import hints
from config.shared.database import in_threads
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
# Their own: who waits at a page must not wait for the row writes of many sessions that start.
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="code-writes")


def connect() -> Pipeline | None:
    """Begin to connect, so that this event loop's first code is written by the pipeline; none on SQLite."""
    return _pipelines.get() if connection.vendor == "postgresql" else None


async def write_qr(lease: Lease, *, status: str, qr: str, qr_expires_at: datetime) -> None:
    """Write the code, and tell the pages of the session when it is committed.

    Raises LeaseLost when the lease is not ours any more. A session's next code may be written only when this
    has returned: codes that wait together are written in no order.
    """
    values = _stored(
        status=status,
        qr=qr,
        qr_expires_at=qr_expires_at,
        updated_at=timezone.now(),
        id=lease.session_id,
        lease_owner=lease.owner,
        lease_token=lease.token,
    )
    if pipeline := connect():
        hint = code_hints.seal(lease.session_id, status=status, qr=qr, qr_expires_at=qr_expires_at)
        values += [code_hints.CHANNEL, hint]
        written = await pipeline.execute([str(value) for value in values])
        written = written or await in_threads(_threads, _execute, _UPDATE_AND_NOTIFY, values)
    else:
        written = await in_threads(_threads, _execute, _UPDATE, values)
    if not written:
        raise LeaseLost(f"session {lease.session_id}")
    if not pipeline:
        hints.push(lease.session_id)


def _stored(**columns: Any) -> list[Any]:
    """The values of these columns as Django stores them."""
    return [_COLUMNS[name].get_db_prep_save(value, connection) for name, value in columns.items()]


def _execute(statement: str, values: list[Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return bool(cursor.fetchall())


def _numbered(statement: str) -> str:
    """The statement with libpq's placeholders, $1 and so on, instead of %s."""
    first, *others = statement.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, start=1))


_pipelines = OnePerLoop(lambda: Pipeline(_numbered(_UPDATE_AND_NOTIFY), name="codes", options=_OPTIONS))
