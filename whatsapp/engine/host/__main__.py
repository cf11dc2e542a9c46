"""Entry point of the fork server and of its hosts: `python -m whatsapp.engine.host --fd N --parent PID …`."""

from __future__ import annotations

import argparse
import os
import queue
import socket
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from whatsapp.engine.commands import Command
from whatsapp.engine.host import fork_server
from whatsapp.engine.host.deferred_library import DeferredLibrary, deferred_loading
from whatsapp.engine.host.line import Line
from whatsapp.engine.host.permit import Permit

if TYPE_CHECKING:
    from whatsapp.engine.host.runner import Runner

# On another version the library would try to download its compiled part at import.
LIBRARY_VERSION = "0.5.2"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; a noise root without --sandbox is refused."""
    parser = argparse.ArgumentParser(prog="whatsapp.engine.host")
    parser.add_argument("--fd", type=int, required=True, help="inherited socket on which hosts are asked for")
    parser.add_argument("--parent", type=int, required=True, help="process id of the supervisor")
    parser.add_argument("--device-name", required=True, help="what the phone's list of devices shows")
    parser.add_argument("--log-level", default="WARNING")
    parser.add_argument("--silence", type=float, default=15.0, help="seconds without a ping, then end")
    parser.add_argument("--upload-timeout", type=float, default=60.0, help="seconds for one file")
    parser.add_argument("--sandbox", action="store_true", help="allow another server than WhatsApp's own")
    parser.add_argument("--noise-root", type=bytes.fromhex, help="root key to trust instead, 64 hex digits")
    options = parser.parse_args(arguments)
    if options.noise_root is not None and not options.sandbox:
        parser.error("--noise-root needs --sandbox")
    return options


def main(arguments: Sequence[str]) -> None:
    """Import everything, fork a host for each request, and in each host run until the supervisor hangs up
    or sends Shutdown."""
    options = parse(arguments)
    os.umask(0o077)  # Key stores are for this user only.
    if version("neonize") != LIBRARY_VERSION:
        sys.exit(f"neonize {LIBRARY_VERSION} is needed, {version('neonize')} is installed")
    with deferred_loading(LIBRARY_VERSION) as compiled:
        from whatsapp.engine.host import library, runner  # noqa: F401
    connection, files = fork_server.serve(socket.socket(fileno=options.fd), options.parent)
    run_host(connection, files, compiled, options)


def run_host(
    connection: socket.socket, files: socket.socket, compiled: DeferredLibrary, options: argparse.Namespace
) -> None:
    """One host's life, on the line `connection` to its supervisor and the channel for files beside it."""
    from whatsapp.engine.host import library, trust
    from whatsapp.engine.host.runner import Runner

    threading.excepthook = _fail
    compiled.load()
    library.set_log_level(options.log_level)
    if options.noise_root is not None:
        trust.replace_noise_root(library.shared_object(), options.noise_root)
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
    permit = Permit(options.silence)
    line = Line(connection, files, lambda: runner.count(), permit)
    runner = Runner(device_name=options.device_name, upload_timeout=options.upload_timeout, write=line.write)
    threading.Thread(target=_read, args=[line, commands, runner], name="reader", daemon=True).start()
    threading.Thread(target=permit.end_when_over, name="permit", daemon=True).start()
    handling = threading.Thread(target=_handle_commands, args=[runner, commands], name="commands")
    handling.start()
    handling.join()


def _handle_commands(runner: Runner, commands: queue.SimpleQueue[Command]) -> None:
    while True:
        runner.handle(commands.get())


def _fail(failure: threading.ExceptHookArgs) -> None:
    """A thread that dies of a defect would leave a host that answers pings and does nothing."""
    sys.__excepthook__(failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback)
    os._exit(1)


def _read(line: Line, commands: queue.SimpleQueue[Command], runner: Runner) -> None:
    for command in line.commands():
        commands.put(command)
    runner.hang_up()  # as the supervisor has
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
