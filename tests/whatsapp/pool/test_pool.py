"""The pool on the simulated engine: what becomes of a session, whatever happens to it."""

import asyncio
import math
from datetime import timedelta

import pytest
from django.utils import timezone

from config.shared.database import in_thread
from tests.whatsapp.pools import history, linked_session, new_session, running_pool, until
from whatsapp.models import Session, StoredCredentials
from whatsapp.pool import key_files
from whatsapp.sessions import services

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
            first = running.pool.runners[session.pk].link.pairing_started
            await until(session, lambda _: running.pool.runners[session.pk].link.pairing_started > first)

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
            running.engine.drop(str(row.pk), back_after=math.inf)
            await until(row, lambda now: now.status == Status.RECONNECTING)
            running.engine.restore(str(row.pk))
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
            assert not key_files.store_path(row.pk).exists()

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

    async def test_key_stores_are_unreadable_on_the_disk_while_no_pool_uses_them(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            assert key_files.store_path(row.pk).exists()
        assert not key_files.store_path(row.pk).exists()
        async with running_pool():
            await until(row, lambda now: now.status == Status.CONNECTED)

    async def test_a_restart_drops_the_line_and_connects_again(self) -> None:
        async with running_pool() as running:
            row = await linked_session(running)
            await in_thread(services.restart, session=row, reason="support")
            await until(row, lambda now: now.restart_done_at is not None and now.status == Status.CONNECTED)
