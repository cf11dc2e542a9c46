"""Codes that a hint brings to the page before the row is read: the pool's own, and nobody else's."""

import asyncio
import base64
import dataclasses
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from channels.layers import get_channel_layer
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import connection
from django.utils import timezone

from config.shared import hints
from config.shared.loop_connections import conninfo
from onboarding.linking import page_actions, tokens
from tests.onboarding.test_live_channel import Tab, in_database
from tests.onboarding.visitors import Visitor, after
from whatsapp.crypto import encryption
from whatsapp.models import Session
from whatsapp.sessions import code_hints, code_writes, leases, services
from whatsapp.sessions.code_hints import CodeHint

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("channel_layer_of_this_loop"),
]
only_on_postgresql = pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite sends no notifications: pages read their rows"
)
FORGED = "https://wa.me/settings/linked_devices#2@forged"


@contextmanager
def no_readings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database answers no page before the block ends."""
    go_on, real = threading.Event(), page_actions.read_states

    def wait(requests: list[page_actions.SnapshotRequest]) -> list[page_actions.PageState]:
        go_on.wait(30)
        return real(requests)

    with monkeypatch.context() as stopped:
        stopped.setattr(page_actions, "read_states", wait)
        try:
            yield
        finally:
            go_on.set()


def claimed(visitor: Visitor) -> leases.Lease:
    found = leases.claim(owner="pool-a", limit=10, seconds=600)
    return next(lease for lease in found if lease.session_id == visitor.session.pk)


async def pipeline_ready() -> None:
    """The next code is written by the pipeline."""
    pipeline = code_writes.connect()
    async with asyncio.timeout(60):
        while pipeline and not pipeline.ready:
            await asyncio.sleep(0.01)


@pytest.fixture(params=["by a thread", "by the pipeline"])
def ways(request: pytest.FixtureRequest) -> Callable[[], Awaitable[None]]:
    """To be awaited before codes are written: they are written in this way then."""
    if request.param == "by the pipeline":
        if connection.vendor == "sqlite":
            pytest.skip("SQLite has no pipeline")
        return pipeline_ready

    async def nothing() -> None:
        """The first codes of an event loop are written by threads, while the pipeline connects."""

    return nothing


def code(n: int) -> str:
    return f"https://wa.me/settings/linked_devices#2@ref{n}"


async def settled(visitor: Visitor, tab: Tab) -> Session:
    """The row as the page shows it; opening the page has changed it."""
    shown = (await tab.receive_until("status"))[-1]
    row = await in_database(lambda: visitor.session)()
    assert row.version == shown["version"]
    return row


def notify(visitor: Visitor, said: str) -> None:
    """Send something to the pages of this salon's session; whoever may connect to the database can."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [code_hints.CHANNEL, f"{visitor.session.pk} {said}"])


def next_of(row: Session, **changes: Any) -> str:
    """What a pool that writes FORGED into this row now would say."""
    hint = CodeHint(row.pk, row.version + 1, Session.Status.QR, FORGED, after(60))
    return said(dataclasses.replace(hint, **changes))


def said(hint: CodeHint) -> str:
    sealed = code_hints.seal(
        hint.session_id, status=hint.status, qr=hint.qr, qr_expires_at=hint.qr_expires_at
    )
    return f"{hint.version} {sealed}"


@only_on_postgresql
async def test_a_pools_codes_are_shown_while_no_row_can_be_read(
    moscow: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Tab(moscow.token) as tab:
        await settled(moscow, tab)
        lease = await in_database(claimed)(moscow)
        with no_readings(monkeypatch):
            for n in range(3):
                await code_writes.write_qr(lease, status="qr", qr=code(n), qr_expires_at=after(60))
                status, qr = await tab.receive_event(), await tab.receive_event()
                row = await in_database(lambda: moscow.session)()
                assert (status["event"], status["qr"], status["version"]) == ("status", code(n), row.version)
                assert (qr["event"], qr["qr"]) == ("qr-update", code(n))
                assert 55 <= qr["expiresIn"] <= 60


async def test_a_code_told_by_a_hint_changes_what_reading_its_row_would_change(
    moscow: Visitor, ways: Callable[[], Awaitable[None]]
) -> None:
    async with Tab(moscow.token) as tab:
        await settled(moscow, tab)
        await ways()
        lease = await in_database(claimed)(moscow)
        request = page_actions.SnapshotRequest(tokens.verify(moscow.token), False, "ru")

        async def read() -> page_actions.PageState:
            return (await in_database(page_actions.read_states)([request]))[0]

        for n in range(3):
            shown, expires = await read(), after(60)
            await code_writes.write_qr(lease, status="qr", qr=code(n), qr_expires_at=expires)
            hint = CodeHint(shown.session.pk, shown.session.version + 1, "qr", code(n), expires)
            told, stored = shown.with_code(hint).picture, (await read()).picture
            assert abs(told.pop("qrExpiresIn") - stored.pop("qrExpiresIn")) <= 5
            assert told == stored


async def test_codes_of_many_sessions_are_written_together_and_none_without_its_lease(
    ways: Callable[[], Awaitable[None]],
) -> None:
    await ways()
    sessions = [await in_database(services.create_session)() for _ in range(20)]
    for session in sessions:
        await in_database(services.view)(session=session)
    found = await in_database(leases.claim)(owner="pool-a", limit=20, seconds=600)
    lost = found[3]
    await in_database(Session.objects.filter(pk=lost.session_id).update)(lease_token=lost.token + 1)
    written = await asyncio.gather(
        *(
            code_writes.write_qr(lease, status="qr", qr=code(n), qr_expires_at=after(60))
            for n, lease in enumerate(found)
        ),
        return_exceptions=True,
    )
    rows = await in_database(Session.objects.in_bulk)([lease.session_id for lease in found])
    for n, (lease, result) in enumerate(zip(found, written, strict=True)):
        row = rows[lease.session_id]
        assert (row.qr, isinstance(result, leases.LeaseLost)) == (
            ("", True) if lease is lost else (code(n), False)
        )


async def test_a_code_reaches_its_own_pages_only(
    moscow: Visitor, kazan: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Tab(moscow.token) as tab, Tab(kazan.token) as other:
        await settled(moscow, tab)
        await settled(kazan, other)
        lease = await in_database(claimed)(moscow)
        await code_writes.write_qr(lease, status="qr", qr=code(1), qr_expires_at=after(60))
        await tab.receive_until("qr-update", qr=code(1))
        theirs = await in_database(kazan.shows_qr)(7)
        assert code(1) not in json.dumps(await other.receive_until("qr-update", qr=theirs))


def _plain(row: Session) -> bytes:
    return json.dumps([str(row.pk), "qr", FORGED, after(60).isoformat()]).encode()


def _as_next(row: Session, sealed: bytes) -> str:
    return f"{row.version + 1} {base64.b64encode(sealed).decode()}"


def _foreign_key(row: Session) -> bytes:
    nonce = bytes(encryption.NONCE)
    return nonce + AESGCM(AESGCM.generate_key(256)).encrypt(nonce, _plain(row), None)


FORGERIES: dict[str, Callable[[Session, Session], str]] = {
    "not sealed": lambda row, _other: _as_next(row, _plain(row)),
    # Who copies it from the database has made no hint.
    "a stored value": lambda row, _other: _as_next(row, encryption.encrypt(_plain(row))),
    "another key": lambda row, _other: _as_next(row, _foreign_key(row)),
    "another purpose": lambda row, _other: _as_next(
        row, encryption.seal(_plain(row), purpose="something else")
    ),
    "damaged": lambda row, _other: f"{next_of(row)[:-8]}AAAAAAA=",
    "cut off": lambda row, _other: next_of(row)[:9],
    "nothing": lambda _row, _other: "",
    "text": lambda _row, _other: "код код",
    "no version": lambda row, _other: f"x {next_of(row).partition(' ')[2]}",
    "of another session": lambda row, other: next_of(row, session_id=other.pk),
    "another session's next": lambda _row, other: next_of(other),
    "replayed": lambda row, _other: next_of(row, version=row.version),
    "older": lambda row, _other: next_of(row, version=row.version - 1),
    "with a change missed": lambda row, _other: next_of(row, version=row.version + 2),
    "run out": lambda row, _other: next_of(row, qr_expires_at=after(-1)),
}


@only_on_postgresql
async def test_hints_that_no_write_has_sent_show_nothing(moscow: Visitor, kazan: Visitor) -> None:
    other = await in_database(lambda: kazan.session)()
    async with Tab(moscow.token) as tab:
        row = await settled(moscow, tab)
        for forge in FORGERIES.values():
            await in_database(notify)(moscow, forge(row, other))
        text = await in_database(moscow.shows_qr)(3)
        received = await tab.receive_until("qr-update", qr=text)
        assert "forged" not in json.dumps(received)


async def test_who_writes_to_redis_shows_no_code(moscow: Visitor) -> None:
    async with Tab(moscow.token) as tab:
        row = await settled(moscow, tab)
        said = {"type": "session.changed", "session_id": str(row.pk), "qr": FORGED, "news": next_of(row)}
        await get_channel_layer().group_send(hints.group_of(row.pk), said)
        text = await in_database(moscow.shows_qr)(3)
        assert "forged" not in json.dumps(await tab.receive_until("qr-update", qr=text))


@only_on_postgresql
async def test_what_was_pushed_and_is_in_no_row_is_taken_back(moscow: Visitor) -> None:
    """A server that was the database has said so, and another one that knows nothing of it has taken over."""
    async with Tab(moscow.token) as tab:
        row = await settled(moscow, tab)
        await in_database(notify)(moscow, next_of(row))
        await tab.receive_until("qr-update", qr=FORGED)
        taken_back = (await tab.receive_until("status", version=row.version))[-1]
        assert (taken_back["hasQR"], taken_back["qr"]) == (False, None)


@only_on_postgresql
async def test_a_disputed_salon_is_shown_no_pushed_code(moscow: Visitor) -> None:
    await in_database(moscow.becomes)("pending_whatsapp", disputed_at=timezone.now())
    async with Tab(moscow.token) as tab:
        row = await settled(moscow, tab)
        await in_database(notify)(moscow, next_of(row))
        heard = await tab.receive_until("status", version=row.version + 1)
        assert "forged" not in json.dumps(heard)
        assert heard[-1]["disputed"]


async def test_a_lost_lease_writes_nothing_and_tells_nobody(
    moscow: Visitor, ways: Callable[[], Awaitable[None]]
) -> None:
    await ways()
    await in_database(moscow.pool_writes)(wanted="linked")
    lost = await in_database(claimed)(moscow)
    async with Tab(moscow.token) as tab:
        await settled(moscow, tab)
        await in_database(moscow.pool_writes)(lease_expires_at=timezone.now() - timedelta(seconds=1))
        lease = await in_database(claimed)(moscow)
        with pytest.raises(leases.LeaseLost):
            await code_writes.write_qr(lost, status="qr", qr=FORGED, qr_expires_at=after(60))
        assert (await in_database(lambda: moscow.session)()).qr == ""
        await code_writes.write_qr(lease, status="qr", qr=code(1), qr_expires_at=after(60))
        assert "forged" not in json.dumps(await tab.receive_until("qr-update", qr=code(1)))


@only_on_postgresql
async def test_a_code_is_written_once_its_row_is_no_longer_locked(moscow: Visitor) -> None:
    await in_database(moscow.pool_writes)(wanted="linked")
    lease = await in_database(claimed)(moscow)
    await pipeline_ready()
    with psycopg.connect(conninfo()) as other:
        other.execute("SELECT FROM whatsapp_session WHERE id = %s FOR UPDATE", [lease.session_id])
        write = asyncio.create_task(
            code_writes.write_qr(lease, status="qr", qr=code(1), qr_expires_at=after(60))
        )
        async with asyncio.timeout(60):
            while not other.execute(WAITING).fetchall():
                await asyncio.sleep(0.01)
    await write
    assert (await in_database(lambda: moscow.session)()).qr == code(1)


# A thread waits for the row: a connection that is none of the pipeline's.
WAITING = (
    "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    " AND application_name <> 'whatsapp_codes'"
)


@only_on_postgresql
async def test_a_code_too_long_for_a_hint_is_written_and_read(
    moscow: Visitor, ways: Callable[[], Awaitable[None]]
) -> None:
    await ways()
    async with Tab(moscow.token) as tab:
        await settled(moscow, tab)
        lease = await in_database(claimed)(moscow)
        long = code(1) + "b" * code_hints.LONGEST
        await code_writes.write_qr(lease, status="qr", qr=long, qr_expires_at=after(60))
        await tab.receive_until("qr-update", qr=long)


@only_on_postgresql
async def test_pages_read_their_rows_when_the_listening_connection_was_lost(moscow: Visitor) -> None:
    async with Tab(moscow.token) as tab:
        await settled(moscow, tab)
        lease = await in_database(claimed)(moscow)
        await pipeline_ready()
        assert await in_database(end_connections)() == 2
        await code_writes.write_qr(lease, status="qr", qr=code(1), qr_expires_at=after(60))
        await tab.receive_until("qr-update", qr=code(1))
        await code_writes.write_qr(lease, status="qr", qr=code(2), qr_expires_at=after(60))
        await tab.receive_until("qr-update", qr=code(2))


def end_connections() -> int:
    """End the connections by which this process writes and hears of codes; how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE (query = %s OR application_name = 'whatsapp_codes') AND datname = current_database()",
            [f"LISTEN {code_hints.CHANNEL}"],
        )
        return len(cursor.fetchall())
