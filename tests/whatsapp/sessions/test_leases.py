"""Leases: who may work on a session, and that nobody else's write counts."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from config.shared import hints
from whatsapp.models import Session, SessionEvent
from whatsapp.sessions import leases, services
from whatsapp.sessions.leases import Lease, LeaseLost

pytestmark = pytest.mark.django_db


def wanted_session(**fields: object) -> Session:
    return Session.objects.create(**{"wanted": Session.Wanted.LINKED, **fields})


def claim(owner: str = "pool-a", limit: int = 10, seconds: float = 30) -> list[Lease]:
    return leases.claim(owner=owner, limit=limit, seconds=seconds)


def expire(session: Session) -> None:
    Session.objects.filter(pk=session.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def test_a_wanted_session_is_claimed_once() -> None:
    session = wanted_session()
    assert [lease.session_id for lease in claim("pool-a")] == [session.pk]
    assert claim("pool-b") == []


def test_who_waits_for_a_code_is_claimed_before_linked_sessions_and_beyond_their_limit() -> None:
    for number in range(3):
        wanted_session(jid=f"{number}:1@s.whatsapp.net")
    waiting = {wanted_session(next_attempt_at=timezone.now()).pk for _ in range(2)}
    claimed = leases.claim(owner="pool-a", limit=4, linked_limit=1, seconds=30)
    assert {lease.session_id for lease in claimed[:2]} == waiting
    assert len(claimed) == 3


def test_a_stopped_session_is_not_claimed() -> None:
    wanted_session(wanted=Session.Wanted.STOPPED)
    assert claim() == []


def test_an_unlink_is_claimed_whatever_the_status() -> None:
    session = wanted_session(
        wanted=Session.Wanted.UNLINKED, status=Session.Status.CONFLICT, jid="1:1@s.whatsapp.net"
    )
    assert [lease.session_id for lease in claim()] == [session.pk]


@pytest.mark.parametrize("status", [Session.Status.CONFLICT, Session.Status.FAILED])
def test_a_session_at_rest_waits_for_a_restart_request(status: Session.Status) -> None:
    session = wanted_session(status=status, jid="1:1@s.whatsapp.net")
    assert claim() == []
    services.restart(session=session, reason="test")
    assert len(claim()) == 1


def test_a_banned_session_waits_until_the_end_of_the_ban() -> None:
    session = wanted_session(
        status=Session.Status.BANNED,
        jid="1:1@s.whatsapp.net",
        next_attempt_at=timezone.now() + timedelta(hours=1),
    )
    assert claim() == []
    Session.objects.filter(pk=session.pk).update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    assert len(claim()) == 1


def test_a_pool_takes_no_more_than_it_has_room_for() -> None:
    for _ in range(3):
        wanted_session()
    assert len(claim("pool-a", limit=2)) == 2
    assert len(claim("pool-b", limit=0)) == 0
    assert len(claim("pool-b", limit=5)) == 1


def test_a_dead_pools_session_is_claimed_with_a_higher_token() -> None:
    session = wanted_session()
    (first,) = claim("pool-a")
    expire(session)
    (second,) = claim("pool-b")
    assert second.token > first.token


def test_a_write_under_a_lost_lease_changes_nothing() -> None:
    session = wanted_session()
    (first,) = claim("pool-a")
    expire(session)
    claim("pool-b")
    with pytest.raises(LeaseLost):
        leases.write(first, status=Session.Status.FAILED, note="late")
    session.refresh_from_db()
    assert session.status == Session.Status.IDLE
    assert not SessionEvent.objects.filter(kind="late").exists()


def test_a_write_raises_the_version_and_notes_the_history() -> None:
    session = wanted_session()
    (lease,) = claim()
    leases.write(lease, status=Session.Status.STARTING, note="started", detail="by test")
    session.refresh_from_db()
    assert (session.status, session.version) == (Session.Status.STARTING, 1)
    assert session.events.get().detail == "by test"


def test_a_code_wakes_no_worker_and_a_link_does(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    woken: list[str] = []
    monkeypatch.setitem(hints._listeners, hints.WORKERS, {lambda: woken.append("worker")})
    monkeypatch.setattr(hints, "_push", lambda session_id: woken.append(f"page of {session_id}"))
    session = wanted_session()
    (lease,) = claim()
    with django_capture_on_commit_callbacks(execute=True):
        leases.write(lease, status=Session.Status.QR, qr="text")
    assert woken == [f"page of {session.pk}"]
    with django_capture_on_commit_callbacks(execute=True):
        leases.write(lease, status=Session.Status.CONNECTED, jid="1:1@s.whatsapp.net")
    assert woken[1:] == [f"page of {session.pk}", "worker"]


def test_a_condition_that_does_not_hold_is_told_apart_from_a_lost_lease() -> None:
    from django.db.models import Q

    wanted_session()
    (lease,) = claim()
    assert leases.write(lease, only_if=Q(wanted="unlinked"), last_error="x") is False
    assert leases.write(lease, only_if=Q(wanted="linked"), last_error="x") is True


def test_renewing_tells_which_leases_are_still_held() -> None:
    kept, taken = wanted_session(), wanted_session()
    held = {lease.session_id: lease.token for lease in claim("pool-a")}
    expire(taken)
    claim("pool-b")
    assert leases.renew(owner="pool-a", seconds=30, sessions=held) == {kept.pk: held[kept.pk]}


def test_a_session_that_the_pool_let_go_is_not_kept_from_others() -> None:
    session = wanted_session()
    claim("pool-a")
    expire(session)
    assert leases.renew(owner="pool-a", seconds=30, sessions=[]) == {}
    assert len(claim("pool-b")) == 1


def test_a_released_session_can_be_claimed_at_once() -> None:
    wanted_session()
    (lease,) = claim("pool-a")
    leases.release(lease)
    assert len(claim("pool-b")) == 1


def test_a_session_without_a_device_gets_the_short_lease() -> None:
    pairing, linked = wanted_session(), wanted_session(jid="1:1@s.whatsapp.net")
    taken = leases.claim(owner="pool-a", limit=10, seconds=30, pairing_seconds=4)
    assert {lease.session_id: lease.seconds for lease in taken} == {pairing.pk: 4, linked.pk: 30}
    for session in (pairing, linked):
        session.refresh_from_db()
    assert pairing.lease_expires_at is not None
    assert linked.lease_expires_at is not None
    assert linked.lease_expires_at - pairing.lease_expires_at > timedelta(seconds=20)


def test_a_short_lease_of_a_living_neighbour_counts_as_a_full_one() -> None:
    session = wanted_session()
    claim("neighbour")
    expire(session)
    again: Any = {"owner": "pool-b", "limit": 10, "seconds": 30.0, "pairing_seconds": 4.0}
    assert leases.claim(**again, neighbours=["neighbour"]) == []
    Session.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=27))
    assert len(leases.claim(**again, neighbours=["neighbour"])) == 1


def test_a_late_release_does_not_free_anothers_lease() -> None:
    session = wanted_session()
    (first,) = claim("pool-a")
    expire(session)
    claim("pool-b")
    leases.release(first)
    session.refresh_from_db()
    assert session.lease_owner == "pool-b"


def test_a_lease_knows_its_end_by_the_monotonic_clock() -> None:
    wanted_session()
    (lease,) = claim(seconds=30)
    assert not lease.is_over
    lease.deadline = time.monotonic()
    assert lease.is_over


@pytest.mark.django_db(transaction=True)
def test_pools_that_claim_at_the_same_moment_never_share_a_session() -> None:
    for _ in range(40):
        wanted_session()
    taken: dict[str, list[Lease]] = {}
    ready = threading.Barrier(4)

    def work(owner: str) -> None:
        ready.wait()
        mine: list[Lease] = []
        while got := claim(owner, limit=3):
            mine.extend(got)
        taken[owner] = mine
        connection.close()

    threads = [threading.Thread(target=work, args=(f"pool-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sessions = [lease.session_id for mine in taken.values() for lease in mine]
    # A claim may come back empty while another one holds the last rows; then that one has them.
    assert len(sessions) == len(set(sessions)) == 40
