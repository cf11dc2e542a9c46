"""Breaks parts of a running product at random moments, by a plan that a seed repeats."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.deployments import PRODUCT, Deployment
from tests.servers import Postgres, Redis

# "host" is one engine process of the pool, "hosts" all of them. What is asked for more often counts twice.
PARTS = ("host", "host", "hosts", "pool", "pool", "worker", "web", "redis", "postgres")
POLITELY = ("pool", "worker", "web", "redis", "postgres")


@dataclass(frozen=True, slots=True)
class Blow:
    """At `at` seconds these parts are killed, or told to end when `politely`; `down` seconds later all are
    started again."""

    at: float
    parts: tuple[str, ...]
    politely: bool
    down: float

    def __str__(self) -> str:
        how = "end" if self.politely else "kill -9"
        return f"{how} {' and '.join(self.parts)}, back after {self.down:.1f} s"


def plan(*, seed: int, seconds: float, pause: tuple[float, float] = (3.0, 8.0)) -> list[Blow]:
    """The blows of one storm; each part falls at least once, in a random order, before the dice decide."""
    dice = random.Random(seed)
    first = dice.sample(sorted(set(PARTS)), len(set(PARTS)))
    blows, at = [], dice.uniform(1.0, pause[1])
    while at < seconds:
        parts = {first.pop() if first else dice.choice(PARTS)}
        if dice.random() < 0.25:
            parts.add(dice.choice(PARTS))
        politely = dice.random() < 0.25 and parts <= set(POLITELY)
        blows.append(Blow(at, tuple(sorted(parts)), politely, dice.uniform(0.0, 3.0)))
        at += dice.uniform(*pause)
    return blows


@dataclass
class Breaker:
    """Carries a plan out; `counts` says how often each part fell, and `hosts_killed` how many engine hosts
    did by any cause."""

    system: Deployment
    postgres: Postgres
    redis: Redis
    say: Callable[[str], None]
    counts: Counter[str] = field(default_factory=Counter)
    hosts_killed: int = 0
    began: float = 0.0  # seconds since the epoch

    def run(self, blows: list[Blow], *, began: float) -> None:
        """Blow after blow; one that is late because the last took long comes at once."""
        self.began = time.time() - (time.monotonic() - began)
        for blow in blows:
            time.sleep(max(0.0, began + blow.at - time.monotonic()))
            self.say(str(blow))
            self._strike(blow)
            time.sleep(blow.down)
            self._mend()
            self.say("all parts run")

    def _strike(self, blow: Blow) -> None:
        for part in blow.parts:
            self.counts[f"{part} {'ended' if blow.politely else 'killed'}"] += 1
            if part in ("host", "hosts"):
                self._kill_hosts(all_of_them=part == "hosts")
            elif part in ("redis", "postgres"):
                server = self.redis if part == "redis" else self.postgres
                (server.stop if blow.politely else server.kill)()
            elif blow.politely:
                self.system.terminate(part)
            else:
                self.hosts_killed += len(self._hosts()) if part == "pool" else 0
                self.system.kill(part)

    def _mend(self) -> None:
        self.postgres.start()
        self.redis.start()
        for name in PRODUCT:
            self.system.processes[name].launch()
        for name in PRODUCT:
            self.system.processes[name].wait_until_ready()

    def _hosts(self) -> list[int]:
        process = self.system.processes["pool"]
        if not process.running:
            return []
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def _kill_hosts(self, *, all_of_them: bool) -> None:
        hosts = self._hosts()
        for pid in hosts if all_of_them else random.sample(hosts, min(1, len(hosts))):
            self.hosts_killed += 1
            os.kill(pid, signal.SIGKILL)
