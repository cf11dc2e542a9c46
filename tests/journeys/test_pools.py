"""Several pools on machines of their own: whatever ends one, its salons are linked elsewhere, without a code,
and never twice at a time."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.deployments import production_deployment
from tests.pool_processes import Pools
from tests.server import temporary_folder
from tests.servers import start_redis

LEASE = 6
SALONS = 3
NAMES = ("north", "south")
RESTART = """
from whatsapp.models import Session
from whatsapp.sessions import services
services.restart(session=Session.objects.get(pk="{session}"), reason="test")
"""


@pytest.fixture(scope="module")
def pools(make_database: Callable[[], str]) -> Iterator[Pools]:
    """Three linked salons; the two pools are started by the tests."""
    with ExitStack() as closing:
        redis = closing.enter_context(start_redis())
        system = production_deployment(
            folder=temporary_folder("yclients-whatsapp-pools"),
            database_url=make_database(),
            redis_url=redis.url,
            forked=True,
            POOL_LEASE_SECONDS=str(LEASE),
            POOL_SHARD_SIZE="2",
        )
        pools = closing.enter_context(Pools(system))
        closing.callback(system.close)
        for pool in NAMES:
            pools.add(pool)
        system.start(*NAMES)
        pools.link(SALONS)
        yield pools


@pytest.fixture(autouse=True)
def _never_twice(pools: Pools) -> Iterator[None]:
    """Both pools run before each test; after it, every salon is linked, never had two connections, and was
    never asked for another code."""
    pools.system.start(*NAMES)
    pools.wait_linked(pools.phones)
    yield
    pools.wait_linked(pools.phones)
    assert pools.most_at_once() == 1
    assert pools.links_by_code() == [1] * SALONS


def busier(pools: Pools) -> tuple[str, str]:
    """The pool with the most sessions, and the other one."""
    first, second = sorted(NAMES, key=lambda name: -len(pools.held_by(name)))
    return first, second


def wait_taken_over(pools: Pools, held: list[str], heir: str) -> None:
    """The other pool has claimed them all, and has them linked.

    No time is asserted: how long a lease lasts is the pool's setting, how long a start takes the machine's.
    """
    pools.until(lambda: set(held) <= set(pools.leased_by(heir)), f"claimed by {heir}")
    pools.wait_linked(held, by=heir)


def test_a_killed_pools_salons_are_linked_elsewhere_when_its_leases_are_over(pools: Pools) -> None:
    victim, heir = busier(pools)
    held = pools.held_by(victim)
    pools.system.kill(victim)
    wait_taken_over(pools, held, heir)


def test_a_killed_pools_salons_are_linked_by_one_on_its_machine_without_waiting_for_leases(
    pools: Pools,
) -> None:
    together = ("east-1", "east-2")
    for name in together:
        pools.add(name, machine="east", POOL_LEASE_SECONDS="600")
    pools.system.start(*together)
    for name in NAMES:
        pools.system.terminate(name)
    pools.wait_linked(pools.phones)
    victim, heir = sorted(together, key=lambda name: -len(pools.held_by(name)))
    held = pools.held_by(victim)
    pools.system.kill(victim)
    wait_taken_over(pools, held, heir)
    pools.system.start(*NAMES)
    pools.system.terminate(heir)


def test_a_pool_told_to_stop_leaves_no_lease_to_wait_for(pools: Pools) -> None:
    victim, heir = busier(pools)
    held = pools.held_by(victim)
    pid = pools.system.processes[victim].pid
    assert pools.system.terminate(victim) == 0
    assert pools.system.query("SELECT 1 FROM whatsapp_session WHERE lease_owner LIKE %s", f"%:{pid}:%") == []
    wait_taken_over(pools, held, heir)


def test_a_paused_pools_hosts_end_before_another_pool_links_its_salons(pools: Pools) -> None:
    victim, heir = busier(pools)
    held = pools.held_by(victim)
    process = pools.system.processes[victim]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        wait_taken_over(pools, held, heir)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    pools.until(lambda: process.said("lease lost"), "the woken pool knows that it lost them")
    assert set(held) <= set(pools.held_by(heir))


def test_a_pool_cut_off_from_the_database_lets_go_before_another_pool_links(pools: Pools) -> None:
    victim, heir = busier(pools)
    held = pools.held_by(victim)
    pools.proxies[victim].block(server_gives_up=LEASE)
    try:
        wait_taken_over(pools, held, heir)
        process = pools.system.processes[victim]
        pools.until(lambda: process.said("not renewed in time"), "it says why it let go")
    finally:
        pools.proxies[victim].unblock()
    pools.system.terminate(heir)
    pools.wait_linked(pools.phones, by=victim)  # it works again


def test_a_pool_cut_off_in_the_midst_of_a_transaction_holds_up_no_other_pool(pools: Pools) -> None:
    victim, heir = busier(pools)
    held = pools.held_by(victim)
    pools.proxies[victim].block_after(b'INSERT INTO "whatsapp_sessionevent"')  # its session's row is locked
    try:
        pools.system.shell(RESTART.format(session=held[0]))
        pools.until(lambda: pools.proxies[victim].blocked, "it is cut off")
        wait_taken_over(pools, held, heir)
    finally:
        pools.proxies[victim].unblock()
    pools.system.terminate(heir)
    pools.wait_linked(pools.phones, by=victim)  # it works again


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGSTOP], ids=["crashes", "hangs"])
def test_a_host_that_fails_takes_only_its_own_salons_down_for_seconds(
    pools: Pools, how: signal.Signals
) -> None:
    pool, other = busier(pools)
    pools.system.terminate(other)
    pools.wait_linked(pools.phones, by=pool)
    pools.until(lambda: len(pools.shards_of(pool)) > 1, "its salons are in two hosts")
    seen = pools.journal()[-1]["seq"]
    os.kill(pools.shards_of(pool)[0], how)
    pools.until(lambda: bool(phones_with(pools, "disconnect", seen)), "its salons are off line")
    pools.wait_linked(pools.phones)
    lost = phones_with(pools, "disconnect", seen)
    assert 0 < len(lost) < SALONS
    assert phones_with(pools, "login", seen) == lost


def phones_with(pools: Pools, kind: str, seen: int) -> set[str]:
    """The salons of which the WhatsApp server has noted this since then."""
    return {event["phone"] for event in pools.journal(seen) if event["kind"] == kind and "phone" in event}
