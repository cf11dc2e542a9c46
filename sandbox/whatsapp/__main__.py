"""``python -m sandbox.whatsapp``: the server as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys

from .hub import Options
from .server import HOST, SandboxWhatsApp


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.whatsapp", description=__doc__)
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--proxy-port", type=int, default=0, help="HTTP CONNECT and TLS; 0 takes a free one")
    parser.add_argument("--ws-port", type=int, default=0, help="plain WebSocket")
    parser.add_argument("--control-port", type=int, default=0, help="control API and page")
    parser.add_argument("--state-dir", default=None, help="keep keys, phones and links here over a restart")
    parser.add_argument(
        "--closing-delay", type=float, default=None, help="seconds between a last stanza and the end"
    )
    parser.add_argument("--verbose", action="store_true", help="log every event to stderr")
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> None:
    times = Options()
    if options.closing_delay is not None:
        times.closing_delay = (options.closing_delay, options.closing_delay)
    sandbox = SandboxWhatsApp(
        proxy_port=options.proxy_port, ws_port=options.ws_port, control_port=options.control_port,
        host=options.host, state_dir=options.state_dir, options=times,
    )  # fmt: skip
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await sandbox.start()
    sys.stdout.write(json.dumps(sandbox.settings()) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await sandbox.stop()


if __name__ == "__main__":
    parsed = parse(sys.argv[1:])
    logging.basicConfig(
        level=logging.INFO if parsed.verbose else logging.WARNING,
        stream=sys.stderr,
        format="%(asctime)s %(name)s %(message)s",
    )
    asyncio.run(run(parsed))
