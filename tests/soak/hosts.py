"""Starts many sessions at once in one engine host, then starts and stops them thousands of times beside
readers, and prints whether the host has lived through it and what it grew to.

    .venv/bin/python -m tests.soak.hosts --sessions 200 --cycles 2000

The real library against the local WhatsApp server. Its maps have no lock of their own, so a start beside a
read used to end the process; the host's lock is what is tested here.
"""

import argparse
import asyncio
import json
import logging
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path

from sandbox.whatsapp import SandboxWhatsApp
from tests.cloned_sessions import clone_account, clone_store, read_store
from tests.whatsapp.engine.engines import CLIENT, SALON, RealHarness
from whatsapp.engine import EngineError
from whatsapp.engine.events import Connected, HostExited, NumbersChecked

ORIGINAL = str(uuid.UUID(int=0))
PATIENCE = 600.0  # seconds
AT_ONCE = 20  # sessions that are stopped and started side by side


class HostLoad:
    """One engine, one shard, many sessions."""

    def __init__(self, folder: Path, sandbox: SandboxWhatsApp, sessions: int) -> None:
        self.sandbox = sandbox
        self.harness = RealHarness(
            folder,
            sandbox,
            shard_size=sessions + 1,
            host_max_starts=1_000_000,
            host_max_rss=1 << 40,
            start_timeout=PATIENCE,
            stop_timeout=60.0,
            ping_timeout=60.0,
            silence=120.0,
        )
        self.sessions = [str(uuid.UUID(int=number + 1)) for number in range(sessions)]
        self.cycles = 0
        self.questions = 0

    async def prepare(self) -> None:
        """Link one device by a code, and clone it."""
        await self.harness.link(ORIGINAL)
        await self.harness.engine.stop(ORIGINAL)
        store = read_store(self.harness.store(ORIGINAL))
        original = self.sandbox.hub.accounts[SALON]
        for number, session in enumerate(self.sessions):
            account = clone_account(self.sandbox.hub, original, number)
            self.harness.store(session).write_bytes(clone_store(store, account))

    async def start_all(self) -> float:
        """Seconds from the first of all the starts until every session is connected."""
        started = time.monotonic()
        await asyncio.gather(*(self._start(session) for session in self.sessions))
        await self._until_linked(len(self.sessions))
        return time.monotonic() - started

    async def churn(self, cycles: int) -> float:
        """Seconds for so many stops and starts of random sessions, with questions beside them."""
        started = time.monotonic()
        free = list(self.sessions)
        asking = asyncio.create_task(self._ask())

        async def work() -> None:
            while self.cycles < cycles:
                self.cycles += 1
                session = free.pop(random.randrange(len(free)))
                await self.harness.engine.stop(session)
                await self._start(session)
                await self._until_up(session)
                free.append(session)

        await asyncio.gather(*(work() for _ in range(min(AT_ONCE, len(free) - 1))))
        asking.cancel()
        await asyncio.wait({asking})
        return time.monotonic() - started

    async def _start(self, session: str) -> None:
        await self.harness.engine.start(session, self.harness.store(session), pairing=False)

    async def _ask(self) -> None:
        while True:
            session = random.choice(self.sessions)
            try:
                await self.harness.engine.check_numbers(session, "ref", [CLIENT])
            except EngineError:  # just stopped
                await asyncio.sleep(0.01)
                continue
            self.questions += 1
            await asyncio.sleep(0.02)

    async def _until_linked(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.sandbox.state()["linked_now"] < count:
                await asyncio.sleep(0.05)

    async def _until_up(self, session: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.harness.engine._registry.slots[session].linked.is_set():
                await asyncio.sleep(0.02)

    def host(self) -> dict[str, float]:
        """What the fullest host costs, by the kernel's word."""
        host = max(self.harness.engine.hosts(), key=lambda host: host.sessions)
        status = Path(f"/proc/{host.pid}/status").read_text().splitlines()
        values = {line.partition(":")[0]: line.split()[1] for line in status if len(line.split()) > 1}
        return {
            "pid": host.pid,
            "sessions": host.sessions,
            "rss_mb": round(int(values["VmRSS"]) / 1024, 1),
            "threads": int(values["Threads"]),
            "descriptors": len(list(Path(f"/proc/{host.pid}/fd").iterdir())),
        }

    def event_counts(self) -> Counter[str]:
        """How many events of each kind came."""
        return Counter(type(event).__name__ for event in self.harness.recorder.everything)


async def run(sessions: int, cycles: int) -> dict[str, object]:
    """Everything, as figures."""
    sandbox = SandboxWhatsApp()
    await sandbox.start()
    with tempfile.TemporaryDirectory(prefix="soak-hosts-") as folder:
        load = HostLoad(Path(folder), sandbox, sessions)
        try:
            await load.prepare()
            figures: dict[str, object] = {"all_started_seconds": round(await load.start_all(), 1)}
            figures["host_with_all"] = before = load.host()
            seconds = await load.churn(cycles)
            figures |= {"cycles": load.cycles, "cycle_seconds": round(seconds, 1)}
            figures |= {"questions_meanwhile": load.questions, "host_afterwards": load.host()}
            received = load.event_counts()
            ends = [e for e in load.harness.recorder.everything if isinstance(e, HostExited) and e.sessions]
            figures |= {
                "connected": received[Connected.__name__],
                "answers": received[NumbersChecked.__name__],
                "hosts_that_died_with_sessions": [end.reason for end in ends],
                "same_process": before["pid"] == load.host()["pid"],
                "most_connections_of_one_device_at_once": max(sandbox.state()["most_at_once"].values()),
            }
            return figures
        finally:
            await load.harness.close()
            await sandbox.stop()


def main() -> None:
    """Print one JSON object of figures; the exit code is 1 when a host died."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--cycles", type=int, default=2000)
    options = parser.parse_args()
    logging.basicConfig(level="ERROR")
    figures = asyncio.run(run(options.sessions, options.cycles))
    print(json.dumps(figures, indent=2))
    if figures["hosts_that_died_with_sessions"] or figures["most_connections_of_one_device_at_once"] != 1:
        sys.exit("a host died with its sessions, or a device was connected twice at once")


if __name__ == "__main__":
    main()
