"""All soak tests in turns, for a given time.

    .venv/bin/python -m tests.soak --minutes 5
    .venv/bin/python -m tests.soak --minutes 60 --only pools,attack

Each turn is a process of its own with another seed, short enough that every test comes up in five minutes.
The exit code is 1 when a turn failed; its output is above, with the command that repeats it.
"""

import argparse
import itertools
import shlex
import subprocess
import sys
import time
from collections.abc import Callable

from tests.environment import ROOT

# The arguments of one turn, by its number.
TURNS: dict[str, Callable[[int], list[str]]] = {
    "bookings": lambda turn: ["--webhooks", "600", "--records", "50", "--seed", str(turn)],
    "pools": lambda turn: ["--rounds", "2", "--salons", "3", "--seed", str(turn)],
    "inbound": lambda _turn: ["--rounds", "4"],
    "reconnects": lambda _turn: ["--salons", "3", "--seconds", "10"],
    "hosts": lambda _turn: ["--sessions", "20", "--cycles", "100"],
    "attack": lambda _turn: ["--minutes", "1"],
}
LONGEST = 30 * 60.0  # seconds for one turn; it hangs when it takes longer


def run(name: str, turn: int) -> bool:
    """One turn; whether it succeeded."""
    command = [sys.executable, "-m", f"tests.soak.{name}", *TURNS[name](turn)]
    print(f"--- {shlex.join(command)}", flush=True)
    began = time.monotonic()
    try:
        code = subprocess.run(command, cwd=ROOT, timeout=LONGEST, check=False).returncode
    except subprocess.TimeoutExpired:
        code = -1
    print(f"--- {name}: {'ok' if code == 0 else 'FAILED'} after {time.monotonic() - began:.0f} s", flush=True)
    return code == 0


def main() -> None:
    """Start turns until the time is over; the last one may go on a little longer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--only", default=",".join(TURNS), help="names, separated by commas")
    options = parser.parse_args()
    names = options.only.split(",")
    ends = time.monotonic() + options.minutes * 60
    failed = []
    for number in itertools.count():
        if number and time.monotonic() > ends:
            break
        name = names[number % len(names)]
        if not run(name, number // len(names) + 1):
            failed.append(name)
    print(f"{number} turns, {len(failed)} failed{': ' if failed else ''}{', '.join(failed)}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
