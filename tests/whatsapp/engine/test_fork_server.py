"""The process that hosts are forked from."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.whatsapp import SandboxWhatsApp
from whatsapp.engine.events import Disconnected, HostExited

from .engines import CLIENT, SALON, RealHarness

ONE, TWO = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[RealHarness]:
    """With a fork server of its own."""
    sandbox = SandboxWhatsApp()
    await sandbox.start()
    harness = RealHarness(tmp_path, sandbox)
    yield harness
    await harness.close()
    await sandbox.stop()


def children() -> list[str]:
    """The processes whose parent this one is."""
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


async def test_hosts_outlive_their_fork_server_and_another_one_is_started(real: RealHarness) -> None:
    await real.linked(ONE, SALON)
    process = real.engine._registry.fleet._forks._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await real.link(TWO, CLIENT)
    assert real.recorder.count(HostExited) == 1  # the pairing attempt's own
    assert real.recorder.count(Disconnected) == 0


async def test_a_host_is_a_child_of_the_supervisor(real: RealHarness) -> None:
    await real.linked(ONE, SALON)
    assert str(real.pid_of(ONE)) in await asyncio.to_thread(children)
