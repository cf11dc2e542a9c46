"""`python -m sandbox.yclients`: the sandbox as a process of its own.

Prints one JSON line when it is ready: `url`, `api_url`, `marketplace_url`, `application_id`, `pid`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path

from sandbox.yclients.server import SandboxYClients
from sandbox.yclients.settings import DEFAULT_ACCEPT


def main() -> None:
    """Parse the arguments and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="sandbox.yclients", description="A local stand-in for YCLIENTS.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--product-url", required=True, help="where the service answers")
    parser.add_argument("--product-public-url", help="the same for a browser, when it differs")
    parser.add_argument("--public-url", help="the sandbox's address for a browser, when it differs")
    parser.add_argument("--partner-token", default=os.environ.get("YCLIENTS_PARTNER_TOKEN"))
    parser.add_argument("--application-id", type=int, required=True)
    parser.add_argument("--accept", default=DEFAULT_ACCEPT)
    parser.add_argument("--state-dir", type=Path, help="keep salons and installations in this folder")
    parser.add_argument("--no-limits", action="store_true", help="do not enforce the request limits")
    arguments = parser.parse_args()
    if not arguments.partner_token:
        parser.error("--partner-token or YCLIENTS_PARTNER_TOKEN is needed")
    asyncio.run(serve(arguments))


async def serve(arguments: argparse.Namespace) -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sandbox = SandboxYClients(
        partner_token=arguments.partner_token,
        application_id=arguments.application_id,
        product_url=arguments.product_url,
        product_public_url=arguments.product_public_url,
        public_url=arguments.public_url,
        accept=arguments.accept,
        host=arguments.host,
        port=arguments.port,
        state_dir=arguments.state_dir,
        enforce_limits=not arguments.no_limits,
    )
    async with sandbox:
        ready = {
            "url": sandbox.url,
            "api_url": sandbox.api_url,
            "marketplace_url": sandbox.marketplace_url,
            "application_id": arguments.application_id,
            "pid": os.getpid(),
        }
        print(json.dumps(ready), flush=True)
        await stop.wait()


if __name__ == "__main__":
    main()
