"""Worlds to run engines in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.whatsapp import SandboxWhatsApp

from .engines import AnyWorld, RealWorld, SimulatedWorld


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxWhatsApp]:
    server = SandboxWhatsApp()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(params=["simulated", "real"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyWorld]:
    """Both engines, one after the other: what is tested with it is the port's contract."""
    if request.param == "simulated":
        simulated = SimulatedWorld(tmp_path)
        yield simulated
        await simulated.close()
        return
    server = SandboxWhatsApp()
    await server.start()
    real = RealWorld(tmp_path, server)
    yield real
    await real.close()
    await server.stop()


@pytest.fixture
async def real(tmp_path: Path, sandbox: SandboxWhatsApp) -> AsyncIterator[RealWorld]:
    """The real library alone."""
    world = RealWorld(tmp_path, sandbox)
    yield world
    await world.close()
