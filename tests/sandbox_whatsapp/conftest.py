"""A sandbox for each test, and a companion that was linked once for all of them."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.whatsapp import Options, SandboxWhatsApp
from tests.sandbox_server import SteadySandbox

from .clients import Client

SALON = "79990000001"
ANNA = "79990000002"

Opened = Callable[..., Awaitable[Client]]


def quick_options() -> Options:
    return Options(closing_delay=(0.3, 0.4))


@pytest.fixture(scope="session")
def linked_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a server's state and a client's key store, linked by QR: copies of it start at once."""
    folder = tmp_path_factory.mktemp("linked")

    async def link() -> None:
        sandbox = SteadySandbox(folder / "server", options=quick_options())
        await sandbox.start()
        sandbox.create_phone(SALON, "Salon")
        client = await Client(folder / "client.db").start(sandbox)
        try:
            await sandbox.scan(SALON, (await client.wait("qr"))["qr"])
            await client.wait("connected")
        finally:
            await client.kill()
            await sandbox.stop()

    asyncio.run(link())
    return folder


@pytest_asyncio.fixture
async def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SandboxWhatsApp]:
    """A server; where the test asks for ``linked_folder`` too, one that knows its companion."""
    if "linked_folder" in request.fixturenames:
        source: Path = request.getfixturevalue("linked_folder")
        shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    server = SteadySandbox(tmp_path / "server", options=quick_options())
    await server.start()
    server.create_phone(SALON, "Salon")
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def open_client(sandbox: SandboxWhatsApp, tmp_path: Path) -> AsyncIterator[Opened]:
    """Starts a client on a key store (``client.db`` is the linked one) and ends it with the test."""
    clients: list[Client] = []

    async def start(store: str = "client.db") -> Client:
        client = Client(tmp_path / store)
        clients.append(client)
        return await client.start(sandbox)

    yield start
    for client in clients:
        await client.kill()


@pytest_asyncio.fixture
async def linked(linked_folder: Path, open_client: Opened) -> Client:
    """The salon's companion, connected."""
    client = await open_client()
    await client.wait("connected", phone=SALON)
    return client
