"""The local servers that engines are run against."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sandbox.whatsapp import SandboxWhatsApp
from tests.sandbox_server import SteadySandbox

from .engines import AnyHarness, RealHarness, SimulatedHarness


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[SandboxWhatsApp]:
    server = SteadySandbox(tmp_path / "server")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(params=["simulated", "real"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyHarness]:
    """Both engines, one after the other: what is tested with it is the port's contract."""
    if request.param == "simulated":
        simulated = SimulatedHarness(tmp_path)
        yield simulated
        await simulated.close()
        return
    server = SteadySandbox(tmp_path / "server")
    await server.start()
    real = RealHarness(tmp_path, server)
    yield real
    await real.close()
    await server.stop()


@pytest.fixture
async def real(tmp_path: Path, sandbox: SandboxWhatsApp) -> AsyncIterator[RealHarness]:
    """The real library alone."""
    harness = RealHarness(tmp_path, sandbox)
    yield harness
    await harness.close()


@pytest.fixture
async def make(tmp_path: Path, sandbox: SandboxWhatsApp) -> AsyncIterator[Callable[..., RealHarness]]:
    """Makes harnesses with settings of their own."""
    harnesses: list[RealHarness] = []

    def build(**settings: object) -> RealHarness:
        harnesses.append(RealHarness(tmp_path, sandbox, **settings))
        return harnesses[-1]

    yield build
    for harness in harnesses:
        await harness.close()
