"""An engine in a process of its own, to be killed: starts one session, prints the process ids of its hosts as
soon as WhatsApp has answered, and goes on."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from sandbox.whatsapp import SandboxWhatsApp
from tests.environment import ROOT
from tests.processes import is_running
from whatsapp.engine import EngineSettings
from whatsapp.engine.events import Connected, QrCode
from whatsapp.engine.supervisor.engine import NeonizeEngine


async def run_engine(
    sandbox: SandboxWhatsApp, session: str, store: Path, *, pairing: bool
) -> tuple[Process, list[int]]:
    """The process, and its hosts: the session's, and a spare one."""
    settings = {"proxy_url": sandbox.proxy_url, "ca_file": sandbox.ca_file, "noise_root": sandbox.noise_root}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        json.dumps(settings),
        session,
        str(store),
        "pairing" if pairing else "linked",
        stdout=PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    pids = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    assert len(pids) == 2 and all(is_running(pid) for pid in pids)
    return process, pids


async def kill(process: Process, hosts: list[int]) -> None:
    """Kill the engine's process, and return when its hosts have ended too."""
    process.kill()
    await process.wait()
    async with asyncio.timeout(60):
        while any(is_running(pid) for pid in hosts):
            await asyncio.sleep(0.02)


async def _main(settings: str, session: str, store: str, what: str) -> None:
    engine = NeonizeEngine(EngineSettings(sandbox=True, **json.loads(settings)))
    await engine.start(session, Path(store), pairing=what == "pairing")
    async for event in engine.events():
        if isinstance(event, QrCode | Connected):
            print(json.dumps([host.pid for host in engine.hosts()]), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
