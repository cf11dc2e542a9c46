"""Several pools, and what becomes of their sessions when one of them ends or another one comes."""

import asyncio
import threading
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from config.shared.database import in_thread
from tests.whatsapp.pools import (
    PATIENCE,
    Running,
    end_lease,
    history,
    linked_session,
    new_session,
    running_pool,
    until,
)
from whatsapp.engine.events import Incoming
from whatsapp.messages import durable_writer
from whatsapp.models import Message, Pool, Session
from whatsapp.pool import key_files, spool_files
from whatsapp.sessions import leases, services

pytestmark = pytest.mark.django_db(transaction=True)
Status = Session.Status
PHONE = "79990000001"


async def change(session: Session, **fields: object) -> None:
    await in_thread(Session.objects.filter(pk=session.pk).update, **fields)


async def test_a_polite_stop_gives_everything_back() -> None:
    async with running_pool() as running:
        row = await linked_session(running)
    row = await until(row, lambda now: not now.lease_owner)
    assert row.status == Status.RECONNECTING
    assert not await in_thread(Pool.objects.exists)


async def test_what_a_client_writes_while_the_hosts_end_is_written_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_pool() as running:
        row = await linked_session(running)
        close = running.engine.close

        async def hear_one_more_and_close() -> None:
            monkeypatch.undo()
            words = Incoming(
                str(row.pk), "IN1", phone="79995550101", lid=None, text="Wait!", note=None, at=time.time()
            )
            running.engine._event_queue.put(words)
            await close()

        monkeypatch.setattr(running.engine, "close", hear_one_more_and_close)
    assert await in_thread(Message.objects.filter(session=row.pk, wa_message_id="IN1").count) == 1


@pytest.mark.parametrize("database_away", [False, True])
async def test_what_hosts_have_kept_goes_at_a_polite_stop_when_it_is_written(
    database_away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_events: object) -> None:
        raise OperationalError("the server closed the connection")

    async with running_pool() as running:
        row = await linked_session(running)
        path = key_files.store_path(row.pk)
        spool = path.with_name(f"{path.name}-said")
        await asyncio.to_thread(spool.write_text, "what a client wrote")
        if database_away:
            monkeypatch.setattr(durable_writer, "record_events", refuse)
        words = Incoming(
            str(row.pk), "IN1", phone="79995550101", lid=None, text="Wait!", note=None, at=time.time()
        )
        running.engine._event_queue.put(words)
    left = await asyncio.to_thread(lambda: [file.suffix for file in path.parent.glob(f"{row.pk}*")])
    assert (".said-sealed" in left) is database_away
    assert not spool.exists()
    await in_thread(spool_files.open_sealed, row.pk)
    assert spool.exists() is database_away


async def test_a_session_that_is_claimed_at_the_moment_of_the_stop_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claimed, go_on = threading.Event(), threading.Event()
    real = leases.claim

    def slow(**named: Any) -> list[leases.Lease]:
        taken = real(**named)
        if taken:
            claimed.set()
            assert go_on.wait(PATIENCE)
        return taken

    monkeypatch.setattr(leases, "claim", slow)
    async with running_pool() as running:
        session = await new_session()
        assert await asyncio.to_thread(claimed.wait, PATIENCE)
        running.stop.set()
        while any(task.get_name() == "claims" for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)  # until the one who waits for the claim is gone
        go_on.set()
        await running.task
    assert not (await in_thread(Session.objects.get, pk=session.pk)).lease_owner


async def test_another_machine_takes_over_without_a_new_code(settings: Any, tmp_path: Path) -> None:
    async with running_pool() as running:
        row = await linked_session(running)
    settings.WHATSAPP_STORE_DIR = f"{tmp_path}/another-machine"
    async with running_pool():
        again = await until(row, lambda now: now.status == Status.CONNECTED)
        assert again.jid == row.jid


async def test_keys_that_cannot_be_read_are_said_kept_and_used_when_they_can_be(
    settings: Any, tmp_path: Path
) -> None:
    async with running_pool() as running:
        row = await linked_session(running)
    keys = settings.FIELD_ENCRYPTION_KEYS
    settings.WHATSAPP_STORE_DIR = f"{tmp_path}/another-machine"
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    async with running_pool():
        failed = await until(row, lambda now: now.status == Status.FAILED and not now.lease_owner)
        assert failed.jid == row.jid
        assert "credentials_unusable" in await history(row)
    settings.FIELD_ENCRYPTION_KEYS = keys
    await in_thread(services.restart, session=row, reason="the key is back")
    async with running_pool():
        await until(row, lambda now: now.status == Status.CONNECTED)
        assert "credentials_restored" in await history(row)


async def test_encryption_keys_are_rotated_while_pools_run(settings: Any, tmp_path: Path) -> None:
    new, old = Fernet.generate_key().decode(), settings.FIELD_ENCRYPTION_KEYS
    async with running_pool() as running:
        row = await linked_session(running)
        settings.FIELD_ENCRYPTION_KEYS = [new, *old]
        await in_thread(call_command, "rotate_encryption_keys", stdout=StringIO())
        waiting = await until(await new_session(), lambda row: row.qr)
        settings.FIELD_ENCRYPTION_KEYS = [new]
        await until(waiting, lambda row: row.qr)
    settings.WHATSAPP_STORE_DIR = f"{tmp_path}/another-machine"
    async with running_pool():
        again = await until(row, lambda now: now.status == Status.CONNECTED)
        assert again.jid == row.jid


async def test_a_crashed_pools_session_is_taken_over_by_another_machine_when_its_lease_is_over(
    settings: Any, tmp_path: Path
) -> None:
    async with running_pool(lease=3600) as crashing:
        row = await linked_session(crashing)
        await crashing.crash()
        settings.WHATSAPP_STORE_DIR = f"{tmp_path}/another-machine"
        async with running_pool(lease=3600) as second:
            await end_lease(row)
            again = await until(
                row, lambda now: now.lease_owner == second.pool.name and now.status == Status.CONNECTED
            )
            assert again.jid == row.jid


async def test_a_crashed_pools_session_is_taken_over_at_once_on_the_same_machine() -> None:
    async with running_pool(lease=3600) as crashing:
        row = await linked_session(crashing)
        await crashing.crash()
        async with running_pool(lease=3600) as second:
            again = await until(
                row, lambda now: now.lease_owner == second.pool.name and now.status == Status.CONNECTED
            )
            assert again.lease_token > row.lease_token
            assert not await in_thread(Pool.objects.filter(name=crashing.pool.name).exists)


async def test_the_owner_at_a_code_does_not_wait_for_a_full_lease(settings: Any, tmp_path: Path) -> None:
    async with running_pool(lease=3600, pairing_lease=5.0) as crashing:
        row = await until(await new_session(), lambda row: row.qr)
        await crashing.crash()
        settings.WHATSAPP_STORE_DIR = f"{tmp_path}/another-machine"
        async with running_pool(lease=3600, pairing_lease=5.0) as second:
            await until(row, lambda now: now.lease_owner == second.pool.name and now.qr != row.qr)


async def test_a_session_that_is_linked_under_a_short_lease_gets_a_full_one() -> None:
    async with running_pool(lease=3600, pairing_lease=6.0) as running:
        row = await linked_session(running)
        assert row.lease_token == 1
        half = timedelta(minutes=30)
        await until(row, lambda now: now.lease_expires_at and now.lease_expires_at - timezone.now() > half)


async def test_a_device_linked_just_before_the_crash_is_found_again() -> None:
    """Killed after the scan and before the row was written: the key store knows, the row does not."""
    async with running_pool() as crashing:
        row = await until(await new_session(), lambda row: row.qr)
        crashing.pool.runners[row.pk].handle_event = lambda event: None  # type: ignore[method-assign]
        crashing.engine.scan(str(row.pk), PHONE)
        await crashing.crash()
        await end_lease(row)
        async with running_pool():
            row = await until(row, lambda now: now.status == Status.CONNECTED)
            assert row.phone == PHONE


async def test_a_session_taken_by_another_pool_is_let_go_at_once() -> None:
    async with running_pool(lease=6.0) as running:
        row = await linked_session(running)
        await change(
            row,
            lease_owner="another-pool",
            lease_token=row.lease_token + 1,
            lease_expires_at=timezone.now() + timedelta(minutes=1),
        )
        await until(row, lambda _: not running.engine.owns(str(row.pk)))
        row = await until(row, lambda now: True)
        assert row.lease_owner == "another-pool"


async def test_two_pools_share_and_never_hold_the_same_session() -> None:
    async with running_pool(capacity=3) as first, running_pool(capacity=3) as second:
        sessions = [await new_session() for _ in range(6)]
        for session in sessions:
            await until(session, lambda row: row.qr)
        held = [{str(key) for key in running.pool.runners} for running in (first, second)]
        assert len(held[0]) == len(held[1]) == 3
        assert not held[0] & held[1]


async def test_an_added_pool_takes_nothing_that_another_one_has_room_for() -> None:
    async with running_pool(capacity=2) as first:
        kept = [await linked_session(first, f"7999000000{number}") for number in range(2)]
        async with running_pool(capacity=2) as added:
            new = await until(await new_session(), lambda row: row.qr)
            assert new.lease_owner == added.pool.name
            for session in kept:
                row = await until(session, lambda row: row.status == Status.CONNECTED)
                assert (row.lease_owner, row.lease_token) == (first.pool.name, session.lease_token)


async def test_pools_that_find_many_linked_sessions_free_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whatsapp.pool.pool.CLAIMED_AT_ONCE", 2)
    async with running_pool() as former:
        sessions = [await linked_session(former, f"7999000000{number}") for number in range(8)]
    async with running_pool() as first, running_pool() as second:
        for session in sessions:
            await until(session, lambda row: row.status == Status.CONNECTED)
        assert min(len(first.pool.runners), len(second.pool.runners)) >= 2


async def test_the_heartbeat_tells_that_a_pool_is_running() -> None:
    assert not await in_thread(services.pool_is_running)
    async with running_pool() as running:
        await until(await new_session(), lambda row: row.qr)
        assert await in_thread(services.pool_is_running)
        pool = await in_thread(Pool.objects.get)
        assert pool.name == running.pool.name


async def test_the_scripted_crash_leaves_the_lease_behind() -> None:
    """The crash of these tests is a real one: nothing is given back."""
    running: Running
    async with running_pool() as running:
        row = await linked_session(running)
        await running.crash()
        row = await until(row, lambda _: True)
        assert row.lease_owner == running.pool.name
        assert row.status == Status.CONNECTED
