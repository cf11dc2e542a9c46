"""A supervisor to be killed: starts a pairing attempt and a spare host, prints their process ids, waits."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from whatsapp.engine import EngineSettings
from whatsapp.engine.events import QrCode
from whatsapp.engine.supervisor.engine import NeonizeEngine


async def main(settings: str, store: str) -> None:
    engine = NeonizeEngine(EngineSettings(sandbox=True, **json.loads(settings)))
    await engine.start("session", Path(store), pairing=True)
    async for event in engine.events():
        if isinstance(event, QrCode):
            print(json.dumps([host.pid for host in engine.hosts()]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
