"""What operators see of pools, leases and sessions, and when they are told that something is wrong."""

import asyncio
import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from config.shared.database import in_thread
from tests.whatsapp.pools import PATIENCE, linked_session, running_pool, until
from whatsapp.models import Pool, Session, SessionEvent
from whatsapp.pool.status import read_snapshot

pytestmark = pytest.mark.django_db(transaction=True)
HOST = {
    "id": "host-7-1", "pid": 4242, "kind": "shard", "sessions": 3, "rss_bytes": 90 << 20, "threads": 18,
    "started_at": 1_700_000_000.0,
}  # fmt: skip


def pool(seconds_ago: float = 0, **fields: Any) -> Pool:
    given = {"name": "here:7:ab", "capacity": 500, "sessions": 3, "hosts": 1, "rss_bytes": 90 << 20, **fields}
    beat = timezone.now() - timedelta(seconds=seconds_ago)
    return Pool.objects.create(heartbeat_at=beat, engine_hosts=[HOST], own_rss_bytes=60 << 20, **given)


def session(*, idle_for: float = 0, **fields: Any) -> Session:
    given = {"wanted": "linked", "status": "connected", "jid": "7999:1@s.whatsapp.net", **fields}
    made = Session.objects.create(**given)
    Session.objects.filter(pk=made.pk).update(updated_at=timezone.now() - timedelta(seconds=idle_for))
    return made


def held(**fields: Any) -> Session:
    ends = timezone.now() + timedelta(seconds=20)
    return session(lease_owner="here:7:ab", lease_expires_at=ends, idle_for=3600, **fields)


def status(*words: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("pool_status", *words, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_a_pool_with_its_hosts_memory_and_leases() -> None:
    pool()
    held()
    code, said = status()
    assert code == 0
    assert "pool here:7:ab: alive" in said and "3 of 500 sessions, 1 leases, 60 MiB and 1 hosts" in said
    assert "host-7-1, pid 4242: shard, 3 sessions, 90 MiB, 18 threads" in said
    assert "sessions: 1 connected" in said and "wanted: 1 linked; held: 1" in said
    assert "oldest lease: runs out in 20 s" in said or "oldest lease: runs out in 19 s" in said


def test_the_same_for_programs() -> None:
    pool()
    kept = held()
    said = json.loads(status("--json")[1])
    assert (said["is_well"], said["left_alone"], said["held"]) == (True, [], 1)
    assert said["pools"][0]["hosts"] == [HOST]
    Session.objects.filter(pk=kept.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=60))
    code, text = status("--json")
    assert (code, json.loads(text)["left_alone"]) == (1, [str(kept.pk)])


@pytest.mark.parametrize(
    ("fields", "alone"),
    [
        ({"idle_for": 60}, True),
        ({"idle_for": 5}, False),  # a pool takes it in a moment
        ({"idle_for": 60, "wanted": "unlinked"}, True),
        ({"idle_for": 60, "wanted": "stopped"}, False),
        ({"idle_for": 60, "status": "conflict"}, False),
        ({"idle_for": 60, "status": "failed"}, False),
    ],
)
def test_what_counts_as_left_alone(fields: dict[str, Any], alone: bool) -> None:
    pool()
    session(**fields)
    assert bool(read_snapshot().left_alone) == alone
    assert status()[0] == int(alone)


def test_a_session_that_waits_for_its_next_attempt_is_not_left_alone() -> None:
    pool()
    session(idle_for=600, status="banned", next_attempt_at=timezone.now() + timedelta(hours=1))
    assert status()[0] == 0
    Session.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=1))
    assert status()[0] == 1


def test_without_a_living_pool_something_wanted_is_wrong_and_nothing_wanted_is_not() -> None:
    assert status() == (0, "no pool has run within a day\nsessions: none\nwanted: none; held: 0\n")
    pool(seconds_ago=60)
    held()
    code, said = status()
    assert code == 1
    assert "SILENT" in said


async def test_history_names_the_pool_and_the_engine_host() -> None:
    async with running_pool() as running:
        made = await linked_session(running)
        events = await in_thread(lambda: list(SessionEvent.objects.filter(session=made, kind="linked")))
        assert [event.pool for event in events] == [running.pool.name]
        assert events[0].host.startswith("simulated-")
        running.engine.kill_host(str(made.pk))
        await until(made, lambda row: row.status != Session.Status.CONNECTED)
        gone = await in_thread(lambda: SessionEvent.objects.get(session=made, kind="connect_failed"))
        assert gone.host and "engine host" in gone.detail


async def test_a_heartbeat_tells_of_each_host_and_of_memory() -> None:
    async with running_pool() as running:
        await linked_session(running)
        async with asyncio.timeout(PATIENCE):
            while not (row := await Pool.objects.aget()).engine_hosts:
                await asyncio.sleep(0.02)
        assert row.engine_hosts[0]["rss_bytes"] > 0
        assert row.own_rss_bytes > 10 << 20
