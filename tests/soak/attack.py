"""Attacks of every kind, mixed with honest traffic, against a real production deployment; prints figures.

    .venv/bin/python -m tests.soak.attack --minutes 10

Web, pool and worker on PostgreSQL and Redis, with the local YClients and WhatsApp. Fails when an honest
request was refused, when what was answered 200 is lost, when the 99th percentile of honest answers is over a
second, when a forged or expired secret was accepted, or when memory grows.
"""

import argparse
import json
import statistics
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

from bench.processes import family, proportional_kb
from tests.deployments import PRODUCT, Deployment, deployment_on_own_servers
from tests.processes import wait_until
from tests.soak.attacks import Attacks
from tests.soak.honest import HonestTraffic

JWT_SECRET = "soak-secret-of-sufficient-length-00000000"
P99_MOST = 1.0  # seconds
GROWTH_MOST_MB = 40  # of one process over the second half; caches and allocators breathe
ALL_DELIVERED = 180.0  # seconds for what was accepted last
SAMPLE_EVERY = 5.0  # seconds


class Memory(threading.Thread):
    """Notes the proportional memory of each process with its children, in MB."""

    def __init__(self, system: Deployment) -> None:
        super().__init__(name="memory", daemon=True)
        self.system = system
        self.samples: dict[str, list[float]] = {name: [] for name in PRODUCT}
        self.stopped = threading.Event()

    def run(self) -> None:
        """Until `stopped` is set."""
        while not self.stopped.wait(SAMPLE_EVERY):
            for name, samples in self.samples.items():
                samples.append(proportional_kb(family(self.system.processes[name].pid)) / 1024)

    def growth(self) -> dict[str, float]:
        """By how much the last quarter's median is over that of the second quarter."""
        grown = {}
        for name, samples in self.samples.items():
            quarter = max(1, len(samples) // 4)
            before, after = samples[quarter : 2 * quarter] or samples, samples[-quarter:]
            grown[name] = round(statistics.median(after) - statistics.median(before), 1) if samples else 0.0
        return grown


def attack(system: Deployment, *, minutes: float) -> dict[str, Any]:
    """The whole run; the figures."""
    honest = HonestTraffic(system)
    honest.prepare()
    attacks = Attacks(system, honest, jwt_secret=JWT_SECRET)
    memory = Memory(system)
    memory.start()
    until = time.monotonic() + minutes * 60
    threads = attacks.start(until)
    honest.run(until)
    for thread in threads:
        thread.join(60)
    memory.stopped.set()
    waited = "all that was accepted is stored and delivered"
    try:
        wait_until(lambda: not any(honest.lost().values()), waited, seconds=ALL_DELIVERED)
    except AssertionError:
        sys.stderr.write(system.logs())
    return figures(honest, attacks, memory)


def figures(honest: HonestTraffic, attacks: Attacks, memory: Memory) -> dict[str, Any]:
    """What is printed."""
    return {
        "honest": {
            kind: {"requests": len(took), "p50_s": percentile(took, 0.5), "p99_s": percentile(took, 0.99)}
            for kind, took in honest.took.items()
        },
        "refused": honest.refused[:10],
        "lost": honest.lost(),
        "attacks_that_ended": attacks.failures,
        "attacks": {kind: dict(sorted(counts.items())) for kind, counts in attacks.answers.items()},
        "memory_growth_mb": memory.growth(),
        "memory_most_mb": {name: round(max(samples, default=0)) for name, samples in memory.samples.items()},
    }


def percentile(values: list[float], part: float) -> float:
    """The value below which this part of them lies."""
    return round(sorted(values)[min(len(values) - 1, int(len(values) * part))], 3)


def broken(found: dict[str, Any]) -> list[str]:
    """A sentence for each thing that must not be."""
    wrong = [*found["attacks_that_ended"], *(f"refused: {sentence}" for sentence in found["refused"])]
    wrong += [f"{count} {kind} lost" for kind, count in found["lost"].items() if count]
    wrong += [
        f"{kind}: p99 {one['p99_s']} s" for kind, one in found["honest"].items() if one["p99_s"] > P99_MOST
    ]
    wrong += [
        f"{kind} was accepted {found['attacks'][kind][200]} times"
        for kind in ("forged", "expired")
        if found["attacks"].get(kind, {}).get(200)
    ]
    grown = found["memory_growth_mb"].items()
    wrong += [f"{name} grew by {megabytes} MB" for name, megabytes in grown if megabytes > GROWTH_MOST_MB]
    return wrong


def main() -> None:
    """Print one JSON object of figures; the exit code is 1 when something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    with ExitStack() as closing:
        system = deployment_on_own_servers(
            closing,
            "soak-attack",
            SENDING_PACED="false",
            JWT_SECRET=JWT_SECRET,
            TRUSTED_PROXIES="1",
        )
        closing.callback(system.close)
        system.manage("migrate")
        system.start(*PRODUCT)
        found = attack(system, minutes=options.minutes)
    print(json.dumps(found, indent=2, ensure_ascii=False))
    if wrong := broken(found):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
