"""Ends session pools at random moments, again and again, and prints what became of the salons.

    .venv/bin/python -m tests.soak.pools --rounds 20

Real processes: PostgreSQL, Redis, pools on machines of their own (own key stores, own line to the database),
engine hosts, and the local WhatsApp server, by whose own counters nobody is ever linked twice at a time.
One round: a pool that holds salons is killed, paused, blocked from PostgreSQL, asked to stop or loses its
hosts, or all pools are killed at once; then every salon must be linked again without a new code.
"""

import argparse
import json
import os
import random
import signal
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.deployments import deployment_on_own_servers
from tests.pool_processes import Pools

NAMES = ("north", "south", "west")


class PoolFaults:
    """The trouble and its figures; `lease` in seconds."""

    def __init__(self, pools: Pools, *, lease: int, seed: int) -> None:
        self.pools = pools
        self.lease = lease
        self.random = random.Random(seed)
        self.seconds: dict[str, list[float]] = {}
        self.kinds: dict[str, Callable[[str], None]] = {
            "kill": self._kill,
            "pause": self._pause,
            "block": self._block,
            "stop": self._stop,
            "block, then pause": self._block_and_pause,
            "kill a host": self._kill_host,
            "kill all": self._kill_all,
        }

    def round(self, number: int) -> None:
        """One trouble at a random moment, until every salon is linked again."""
        pools = self.pools
        pools.system.start(*NAMES)
        pools.wait_linked(pools.phones)
        time.sleep(self.random.uniform(0, self.lease / 2))  # somewhere between two renewals
        victim = self.random.choice([name for name in NAMES if pools.held_by(name)])
        kind = list(self.kinds)[number % len(self.kinds)]
        held = pools.held_by(victim)
        before = pools.tokens()
        started = time.monotonic()
        self.kinds[kind](victim)
        if kind in ("kill a host", "kill all"):
            held = list(pools.phones)
        pools.until(lambda: self._again(held, before, kind), f"linked again after {kind}")
        self.seconds.setdefault(kind, []).append(time.monotonic() - started)
        self._undo(victim)
        pools.wait_linked(pools.phones)
        assert pools.most_at_once() == 1, f"two connections of one device after {kind}"

    def _again(self, held: list[str], before: dict[str, int], kind: str) -> bool:
        """Linked under a later lease than before, except after what leaves the lease where it was."""
        tokens = self.pools.tokens()
        moved = kind == "kill a host" or all(tokens[session] > before[session] for session in held)
        return moved and self.pools.are_linked(held)

    def _kill(self, victim: str) -> None:
        self.pools.system.kill(victim)

    def _pause(self, victim: str) -> None:
        os.kill(self.pools.system.processes[victim].pid, signal.SIGSTOP)

    def _block(self, victim: str) -> None:
        self.pools.proxies[victim].block()

    def _stop(self, victim: str) -> None:
        self.pools.system.terminate(victim)

    def _block_and_pause(self, victim: str) -> None:
        self._block(victim)
        time.sleep(self.random.uniform(0, self.lease))
        self._pause(victim)

    def _kill_host(self, victim: str) -> None:
        phones = {self.pools.phones[session] for session in self.pools.held_by(victim)}
        seen = self.pools.journal()[-1]["seq"]
        for pid in children(self.pools.system.processes[victim].pid):
            os.kill(pid, signal.SIGKILL)
        self.pools.until(
            lambda: phones <= {event.get("phone") for event in self.pools.journal(seen)},
            "the hosts' salons are off line",
        )

    def _kill_all(self, _victim: str) -> None:
        for name in NAMES:
            self.pools.system.kill(name)
        self.pools.system.start(*NAMES)

    def _undo(self, victim: str) -> None:
        self.pools.proxies[victim].unblock()
        process = self.pools.system.processes[victim]
        if process.running:
            os.kill(process.pid, signal.SIGCONT)

    def figures(self) -> dict[str, object]:
        """Seconds until linked again, and what must be 1 and 0."""
        return {
            "rounds": sum(map(len, self.seconds.values())),
            "salons": len(self.pools.phones),
            "lease_seconds": self.lease,
            "seconds_until_linked_again": {
                kind: {"p50": round(statistics.median(took), 1), "max": round(max(took), 1)}
                for kind, took in self.seconds.items()
            },
            "most_connections_of_one_device_at_once": self.pools.most_at_once(),
            "codes_asked_for_again": sum(self.pools.links_by_code()) - len(self.pools.phones),
        }


def children(pid: int) -> list[int]:
    """The engine hosts of a pool."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> None:
    """Print one JSON object of figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--salons", type=int, default=6)
    parser.add_argument("--lease", type=int, default=6, help="seconds")
    parser.add_argument("--one-machine", action="store_true", help="all pools share the key stores")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with ExitStack() as closing:
        system = deployment_on_own_servers(
            closing,
            "soak-pools",
            POOL_LEASE_SECONDS=str(options.lease),
            POOL_CAPACITY=str(max(1, options.salons)),
            POOL_SHARD_SIZE="3",
        )
        pools = closing.enter_context(Pools(system))
        closing.callback(system.close)
        system.manage("migrate")
        for name in NAMES:
            pools.add(name, machine="together" if options.one_machine else "")
        system.start(*NAMES)
        pools.link(options.salons)
        faults = PoolFaults(pools, lease=options.lease, seed=options.seed)
        for number in range(options.rounds):
            faults.round(number)
            print(f"round {number + 1}: {list(faults.kinds)[number % len(faults.kinds)]}", flush=True)
        print(json.dumps(faults.figures(), indent=2))


if __name__ == "__main__":
    main()
