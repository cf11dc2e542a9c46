"""A local WhatsApp server that has the same address, authority and root key in every test of a process.

Go reads the proxy and the CA file once, when a process begins. So whoever needs the library can be forked
from one process that was begun with them, instead of being executed in each test.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.whatsapp import SandboxWhatsApp, noise, tls
from sandbox.whatsapp.store import Store
from tests.server import temporary_folder

# Below the range from which the system takes ports for connections that go out.
PORTS = range(21_000, 28_000)


class SteadySandbox(SandboxWhatsApp):
    """One at a time; its state is in `state_dir`, as that of any other."""

    def __init__(self, state_dir: Path, **options: Any) -> None:
        super().__init__(proxy_port=_proxy_port(), state_dir=state_dir, **options)
        state_dir.mkdir(parents=True, exist_ok=True)

    async def start(self) -> None:
        """Open all ports, with the identity of this process's servers where the state has none."""
        store = Store(self.state_dir)
        for name, value in _identity().items():
            if not store.get("meta", name):
                store.put("meta", name, value)
        store.close()
        await super().start()
        shutil.copy(self.ca_file, _ca_file())
        self.ca_file = str(_ca_file())


@functools.cache
def _identity() -> dict[str, Any]:
    return {"authority": list(tls.new_authority()), "noise": asdict(noise.new_identity())}


@functools.cache
def _ca_file() -> Path:
    return temporary_folder("sandbox-whatsapp") / "ca.pem"


@functools.cache
def _proxy_port() -> int:
    """One that is free now. Each test process looks from another place on, and keeps to what it found."""
    first = 7 * os.getpid() % len(PORTS)
    for number in range(len(PORTS)):
        port: int = PORTS[(first + number) % len(PORTS)]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")
