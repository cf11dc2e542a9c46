"""What hosts of a killed pool had heard of messages is written down, wherever their sessions are by then."""

import asyncio
import os
import time
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from config.shared.database import in_thread
from tests.whatsapp.pools import PATIENCE, running_pool
from whatsapp.engine.events import Incoming
from whatsapp.engine.host.spool import Spool
from whatsapp.models import Message, Session
from whatsapp.pool import abandoned_spools, key_files, spool_files

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = 120.0  # seconds


def session_held_by(owner: str) -> Session:
    return Session.objects.create(
        wanted=Session.Wanted.LINKED,
        status=Session.Status.CONNECTED,
        phone="79990000001",
        jid="79990000001:1@s.whatsapp.net",
        lease_owner=owner,
        lease_expires_at=timezone.now() + timedelta(hours=1),
    )


def leave_spool(session: Session, *, age: float = LONG_AGO, sealed: bool = False) -> None:
    """As a host does that has heard a client and is killed with its pool."""
    path = key_files.store_path(session.pk)
    words = Incoming(
        str(session.pk), "IN1", phone="79995550101", lid=None, text="Wait!", note=None, at=time.time()
    )
    spool = Spool(path)
    spool.recording(lambda _event: None)(words)
    spool.close()
    if sealed:
        spool_files.seal(session.pk)
    for file in left(session):
        os.utime(file, (time.time() - age, time.time() - age))


def left(session: Session) -> list[Path]:
    return list(key_files.store_path(session.pk).parent.glob(f"{session.pk}*said*"))


@pytest.mark.parametrize("sealed", [False, True])
async def test_it_is_written_down_though_another_machine_has_the_session(sealed: bool) -> None:
    session = await in_thread(session_held_by, "elsewhere:1:aaa")
    await in_thread(leave_spool, session, sealed=sealed)
    async with running_pool(), asyncio.timeout(PATIENCE):
        while await in_thread(left, session):
            await asyncio.sleep(0.02)
    message = await in_thread(Message.objects.get, session=session, direction="in")
    assert (message.wa_message_id, message.text) == ("IN1", "Wait!")


def test_what_a_living_pools_hosts_or_young_ones_write_to_is_left_alone() -> None:
    mine, young, gone = session_held_by("here:1:aaa"), session_held_by(""), session_held_by("here:2:bbb")
    for session in (mine, gone):
        leave_spool(session)
    leave_spool(young, age=0.0)
    assert list(abandoned_spools.find(["here:1:aaa"])) == [gone.pk]


def test_a_file_that_is_written_to_meanwhile_stays() -> None:
    session = session_held_by("")
    leave_spool(session)
    found = abandoned_spools.find([])
    assert list(found) == [session.pk]
    leave_spool(session, age=0.0)  # a host has begun
    abandoned_spools._remove(found)
    assert left(session)


async def test_one_that_cannot_be_read_ends_no_pool_and_keeps_no_other_waiting() -> None:
    broken, session = await in_thread(session_held_by, ""), await in_thread(session_held_by, "")
    path = key_files.store_path(broken.pk)
    unreadable = path.with_name(f"{path.name}-said")

    def make_unreadable() -> None:
        unreadable.mkdir()
        os.utime(unreadable, (time.time() - LONG_AGO, time.time() - LONG_AGO))

    await asyncio.to_thread(make_unreadable)
    await in_thread(leave_spool, session)
    async with running_pool() as running, asyncio.timeout(PATIENCE):
        while await in_thread(left, session):
            await asyncio.sleep(0.02)
        assert not running.task.done()
    assert await in_thread(Message.objects.filter(session=session, wa_message_id="IN1").count) == 1


@pytest.mark.parametrize("name", ["what-he-said", f"{uuid.UUID(int=1)}.db-said-new"])
def test_files_of_other_names_are_not_taken_for_spools(name: str) -> None:
    (key_files.store_path(uuid.uuid4()).parent / name).write_text("")
    assert spool_files.find() == set()
