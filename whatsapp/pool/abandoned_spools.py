"""Writes down what engine hosts of this machine had kept of messages when their pool was killed, also when
their sessions have gone to another machine, or to nobody.

A session that starts here again repeats what its last run has kept (`whatsapp.engine.host.spool`). One that
is held elsewhere by then does not; but what WhatsApp has said is written down whoever holds the lease.
"""

import time
import uuid
from collections.abc import Collection

import structlog

from config.shared.database import in_thread
from whatsapp.engine.events import MessageEvent
from whatsapp.engine.host.spool import Spool
from whatsapp.messages.durable_writer import DurableWriter
from whatsapp.models import Session
from whatsapp.pool import key_files, spool_files

log = structlog.get_logger("pool")
ABANDONED_AFTER = 60.0  # seconds since the last write; a host that runs lets go of a file within 40


async def recover(writer: DurableWriter, living: Collection[str]) -> None:
    """Write down and remove what was abandoned. `living` are the names of this machine's living pools.

    Returns when it is written, however long the database is away. What cannot be read is left and logged.
    """
    read: dict[uuid.UUID, float] = {}
    for session_id, modified_at in (await in_thread(find, living)).items():
        try:
            events = await in_thread(_read, session_id)
        except OSError as error:
            log.error("events of a killed pool not read", session=str(session_id), cause=str(error))
            continue
        log.warning("events of a killed pool recovered", session=str(session_id), events=len(events))
        for event in events:
            await writer.add(event)
        read[session_id] = modified_at
    if read:
        await writer.flushed()
        await in_thread(_remove, read)


def find(living: Collection[str]) -> dict[uuid.UUID, float]:
    """Sessions with a spool that no host here writes to any more, and when it was last written to."""
    before = time.time() - ABANDONED_AFTER
    kept = {session_id: spool_files.modified_at(session_id) for session_id in spool_files.find()}
    old = {session_id: at for session_id, at in kept.items() if at < before}
    if not old:
        return {}
    held = set(Session.objects.filter(pk__in=old, lease_owner__in=living).values_list("pk", flat=True))
    return {session_id: at for session_id, at in old.items() if session_id not in held}


def _read(session_id: uuid.UUID) -> list[MessageEvent]:
    spool_files.open_sealed(session_id)
    return Spool(key_files.store_path(session_id)).read_events()


def _remove(read: dict[uuid.UUID, float]) -> None:
    """Not what a host has begun to write to meanwhile: that one has repeated all of it."""
    for session_id, modified_at in read.items():
        if spool_files.modified_at(session_id) <= modified_at:
            spool_files.remove(session_id)
