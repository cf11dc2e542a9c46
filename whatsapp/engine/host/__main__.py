"""Entry point of a host: `python -m whatsapp.engine.host --fd N --parent PID …`."""

from __future__ import annotations

import argparse
import ctypes
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from whatsapp.engine.commands import Command
from whatsapp.engine.host.line import Line
from whatsapp.engine.host.permit import Permit

if TYPE_CHECKING:
    from whatsapp.engine.host.runner import Runner

# On another version the library would try to download its compiled part at import.
LIBRARY_VERSION = "0.5.2"
PR_SET_PDEATHSIG = 1


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; a noise root without --sandbox is refused."""
    parser = argparse.ArgumentParser(prog="whatsapp.engine.host")
    parser.add_argument("--fd", type=int, required=True, help="inherited socket to the supervisor")
    parser.add_argument("--parent", type=int, required=True, help="process id of the supervisor")
    parser.add_argument("--device-name", required=True, help="what the phone's list of devices shows")
    parser.add_argument("--log-level", default="WARNING")
    parser.add_argument("--silence", type=float, default=15.0, help="seconds without a ping, then end")
    parser.add_argument("--sandbox", action="store_true", help="allow another server than WhatsApp's own")
    parser.add_argument("--noise-root", type=bytes.fromhex, help="root key to trust instead, 64 hex digits")
    options = parser.parse_args(arguments)
    if options.noise_root is not None and not options.sandbox:
        parser.error("--noise-root needs --sandbox")
    return options


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the supervisor dies, however it dies."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the supervisor is gone")


def main(arguments: Sequence[str]) -> None:
    """Run until the supervisor hangs up or says Shutdown."""
    options = parse(arguments)
    threading.excepthook = _fail
    die_with_parent(options.parent)
    os.umask(0o077)  # Key stores are for this user only.
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
    runner = None
    permit = Permit(options.silence)
    line = Line(socket.socket(fileno=options.fd), lambda: runner.count() if runner else 0, permit)
    # Loading the library takes about a second; the host answers pings meanwhile.
    threading.Thread(target=_read, args=[line, commands], name="reader", daemon=True).start()
    threading.Thread(target=permit.end_when_over, name="permit", daemon=True).start()
    if version("neonize") != LIBRARY_VERSION:
        sys.exit(f"neonize {LIBRARY_VERSION} is needed, {version('neonize')} is installed")
    from whatsapp.engine.host import library, trust
    from whatsapp.engine.host.runner import Runner

    library.set_log_level(options.log_level)
    if options.noise_root is not None:
        trust.replace_noise_root(library.shared_object(), options.noise_root)
    runner = Runner(device_name=options.device_name, write=line.write)
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


def _read(line: Line, commands: queue.SimpleQueue[Command]) -> None:
    for command in line.commands():
        commands.put(command)
    os._exit(0)  # The supervisor has hung up.


if __name__ == "__main__":
    main(sys.argv[1:])
