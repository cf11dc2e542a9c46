"""The pool on the simulated engine: what becomes of a session, whatever happens to it."""

import asyncio
from datetime import timedelta
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.utils import timezone

from tests.whatsapp.pools import Running, history, linked_session, new_session, running_pool, until
from whatsapp import services, vault
from whatsapp.database import in_thread
from whatsapp.models import Pool, Session, StoredCredentials

pytestmark = pytest.mark.django_db(transaction=True)
Status, Wanted = Session.Status, Session.Wanted
PHONE = "79990000001"


async def change(session: Session, **fields: object) -> None:
    await in_thread(Session.objects.filter(pk=session.pk).update, **fields)


class TestPairing:
    async def test_an_opened_page_gets_a_qr_code_with_its_lifetime(self) -> None:
        async with running_pool():
            row = await until(await new_session(), lambda row: row.qr)
            assert row.status == Status.QR
            assert services.snapshot(session=row).qr_expires_in > 0

    async def test_the_code_renews_itself_while_somebody_looks(self) -> None:
        async with running_pool(pace=0.01):
            row = await until(await new_session(), lambda row: row.qr)
            later = await until(row, lambda now: now.qr and now.qr != row.qr)
            assert later.status == Status.QR

    async def test_an_attempt_that_ran_out_starts_again_while_somebody_looks(self) -> None:
        async with running_pool(pace=0.002) as running:
            session = await until(await new_session(), lambda row: row.qr)
            first = running.pool.runners[session.pk].pairing_started
            await until(session, lambda _: running.pool.runners[session.pk].pairing_started > first)

    async def test_an_attempt_nobody_looks_at_ends_with_its_last_code(self) -> None:
        async with running_pool(pace=0.002):
            session = await new_session()
            await change(session, viewed_at=timezone.now() - timedelta(hours=1))
            row = await until(session, lambda row: row.wanted == Wanted.STOPPED and not row.lease_owner)
            assert row.status == Status.IDLE
            assert row.qr == ""

    async def test_a_page_that_comes_back_gets_a_new_code(self) -> None:
        async with running_pool(pace=0.002):
            session = await new_session()
            await change(session, viewed_at=timezone.now() - timedelta(hours=1))
            await until(session, lambda row: row.wanted == Wanted.STOPPED)
            await in_thread(services.view, session=session)
            await until(session, lambda row: row.qr)

    async def test_a_scan_links_and_keeps_the_credentials(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            assert row.phone == PHONE
            assert row.jid.startswith(PHONE)
            assert row.qr == ""
            assert await in_thread(StoredCredentials.objects.filter(session=row).exists)
            assert "linked" in await history(row)

    async def test_a_new_code_on_request(self) -> None:
        async with running_pool() as running:
            row = await until(await new_session(), lambda row: row.qr)
            await change(row, pairing_requested_at=timezone.now() - timedelta(minutes=1))
            await in_thread(services.request_qr, session=row)
            await until(row, lambda now: now.qr and now.qr != row.qr)
            assert running.engine.owns(str(row.pk))

    async def test_a_pairing_code_beside_the_qr(self) -> None:
        async with running_pool() as running:
            row = await until(await new_session(), lambda row: row.qr)
            await in_thread(services.request_pairing_code, session=row, phone="8 999 000-00-01")
            row = await until(row, lambda now: now.pairing_code)
            assert row.status == Status.PAIRING_CODE
            running.engine.type_code(str(row.pk), row.pairing_code)
            row = await until(row, lambda now: now.status == Status.CONNECTED)
            assert row.pairing_code == ""

    async def test_a_refused_pairing_code_is_told_and_the_qr_stays(self) -> None:
        async with running_pool() as running:
            running.engine.script.pairing_code_failures.append(("rate_limited", "too many"))
            row = await until(await new_session(), lambda row: row.qr)
            await in_thread(services.request_pairing_code, session=row, phone="+79990000001")
            row = await until(row, lambda now: now.pairing_error)
            assert row.pairing_error == "rate_limited"
            assert row.qr


class TestLine:
    async def test_a_dropped_line_comes_back(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            running.engine.drop(str(row.pk), back_after=2.0)
            await until(row, lambda now: now.status == Status.RECONNECTING)
            await until(row, lambda now: now.status == Status.CONNECTED)

    async def test_a_line_that_stays_away_is_tried_again_later(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            running.engine.drop(str(row.pk), back_after=None)
            row = await until(row, lambda now: now.next_attempt_at)
            assert row.attempts > 0
            await until(row, lambda now: now.status == Status.CONNECTED)

    async def test_a_dead_host_takes_the_session_down_only_for_a_moment(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            running.engine.kill_host(str(row.pk))
            await until(row, lambda now: now.status == Status.RECONNECTING)
            await until(row, lambda now: now.status == Status.CONNECTED)

    async def test_logged_out_on_the_phone_destroys_the_credentials(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            running.engine.log_out(str(row.pk))
            row = await until(row, lambda now: now.status == Status.LOGGED_OUT)
            assert (row.jid, row.phone, row.wanted) == ("", "", Wanted.STOPPED)
            assert not await in_thread(StoredCredentials.objects.exists)
            assert not vault.store_path(row.pk).exists()

    async def test_a_replaced_session_does_not_fight_and_comes_back_on_request(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            running.engine.replace(str(row.pk))
            row = await until(row, lambda now: now.status == Status.CONFLICT and not now.lease_owner)
            assert row.is_linked
            await asyncio.sleep(0.3)  # several polls of the pool
            assert not running.engine.owns(str(row.pk))
            await in_thread(services.request_qr, session=row)
            await until(row, lambda now: now.status == Status.CONNECTED)

    async def test_a_ban_waits_for_its_end(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            running.engine.ban(str(row.pk), expires_in=3600)
            row = await until(row, lambda now: now.status == Status.BANNED and not now.lease_owner)
            assert row.banned_until is not None
            assert row.banned_until == row.next_attempt_at
            await change(row, next_attempt_at=timezone.now())
            await until(row, lambda now: now.status == Status.CONNECTED)

    async def test_an_outdated_client_fails_loudly_and_stays_so(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            running.engine.outdated(str(row.pk))
            row = await until(row, lambda now: now.status == Status.FAILED)
            assert "version" in row.last_error
            assert await in_thread(StoredCredentials.objects.exists)


class TestWishes:
    async def test_unlinking_tells_whatsapp_and_destroys_everything(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            await in_thread(services.unlink, session=row, reason="uninstalled")
            row = await until(row, lambda now: now.status == Status.LOGGED_OUT and not now.lease_owner)
            assert not row.is_linked
            assert not await in_thread(StoredCredentials.objects.exists)

    async def test_an_unlink_asked_for_while_no_pool_runs_happens_later(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
        await in_thread(services.unlink, session=row, reason="uninstalled")
        async with running_pool():
            row = await until(row, lambda now: now.status == Status.LOGGED_OUT)
            assert not await in_thread(StoredCredentials.objects.exists)

    async def test_a_stopped_session_stays_stopped_through_a_restart_of_the_pool(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            await in_thread(services.stop, session=row, reason="support")
            await until(row, lambda now: now.status == Status.IDLE and not now.lease_owner)
        async with running_pool() as running:
            await linked_session(running, "79990000002")  # the new pool has looked around
            assert not running.engine.owns(str(row.pk))
            await in_thread(services.resume, session=row, reason="support")
            await until(row, lambda now: now.status == Status.CONNECTED)

    async def test_a_restart_drops_the_line_and_connects_again(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            await in_thread(services.restart, session=row, reason="support")
            await until(row, lambda now: now.restart_done_at is not None and now.status == Status.CONNECTED)


class TestProcess:
    async def test_a_polite_stop_gives_everything_back(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
        row = await until(row, lambda now: not now.lease_owner)
        assert row.status == Status.RECONNECTING
        assert not await in_thread(Pool.objects.exists)

    async def test_another_machine_takes_over_without_a_new_code(
        self, settings: object, tmp_path: object
    ) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
        settings.WHATSAPP_STORE_DIR = f"{tmp_path}/another-machine"  # type: ignore[attr-defined]
        async with running_pool():
            again = await until(row, lambda now: now.status == Status.CONNECTED)
            assert again.jid == row.jid

    async def test_encryption_keys_are_rotated_while_pools_run(
        self, settings: object, tmp_path: object
    ) -> None:
        new, old = Fernet.generate_key().decode(), settings.FIELD_ENCRYPTION_KEYS  # type: ignore[attr-defined]
        async with running_pool() as running:
            row = await linked_session(running)
            settings.FIELD_ENCRYPTION_KEYS = [new, *old]  # type: ignore[attr-defined]
            await in_thread(call_command, "rotate_encryption_keys", stdout=StringIO())
            waiting = await until(await new_session(), lambda row: row.qr)
            settings.FIELD_ENCRYPTION_KEYS = [new]  # type: ignore[attr-defined]
            await until(waiting, lambda row: row.qr)
        settings.WHATSAPP_STORE_DIR = f"{tmp_path}/another-machine"  # type: ignore[attr-defined]
        async with running_pool():
            again = await until(row, lambda now: now.status == Status.CONNECTED)
            assert again.jid == row.jid

    async def test_a_crashed_pools_session_is_taken_over_when_its_lease_is_over(self) -> None:
        async with running_pool(lease=1.5) as crashing:
            row = await linked_session(crashing)
            await crashing.crash()
            async with running_pool(lease=1.5) as second:
                again = await until(
                    row, lambda now: now.lease_owner == second.pool.name and now.status == Status.CONNECTED
                )
                assert again.jid == row.jid

    async def test_a_device_linked_just_before_the_crash_is_found_again(self) -> None:
        """Killed after the scan and before the row was written: the key store knows, the row does not."""
        async with running_pool(lease=1.5) as crashing:
            row = await until(await new_session(), lambda row: row.qr)
            crashing.pool.runners[row.pk].hear = lambda event: None  # type: ignore[method-assign]
            crashing.engine.scan(str(row.pk), PHONE)
            await crashing.crash()
            async with running_pool(lease=1.5):
                row = await until(row, lambda now: now.status == Status.CONNECTED)
                assert row.phone == PHONE

    async def test_a_session_taken_by_another_pool_is_let_go_at_once(self) -> None:
        async with running_pool(lease=1.5) as running:
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

    async def test_two_pools_share_and_never_hold_the_same_session(self) -> None:
        async with running_pool(capacity=3) as first, running_pool(capacity=3) as second:
            sessions = [await new_session() for _ in range(6)]
            for session in sessions:
                await until(session, lambda row: row.qr)
            held = [{str(key) for key in running.pool.runners} for running in (first, second)]
            assert len(held[0]) == len(held[1]) == 3
            assert not held[0] & held[1]

    async def test_an_added_pool_takes_nothing_that_another_one_has_room_for(self) -> None:
        async with running_pool(capacity=2) as first:
            kept = [await linked_session(first, f"7999000000{number}") for number in range(2)]
            async with running_pool(capacity=2) as added:
                new = await until(await new_session(), lambda row: row.qr)
                assert new.lease_owner == added.pool.name
                for session in kept:
                    row = await until(session, lambda row: row.status == Status.CONNECTED)
                    assert (row.lease_owner, row.lease_token) == (first.pool.name, session.lease_token)

    async def test_pools_that_find_many_free_sessions_share_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("whatsapp.pool.CLAIMED_AT_ONCE", 2)
        sessions = [await new_session() for _ in range(12)]
        async with running_pool() as first, running_pool() as second:
            for session in sessions:
                await until(session, lambda row: row.qr)
            assert min(len(first.pool.runners), len(second.pool.runners)) >= 2

    async def test_the_heartbeat_tells_that_a_pool_is_running(self) -> None:
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
