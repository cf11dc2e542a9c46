"""Keeps WhatsApp's server in trouble for a while, and counts by its own journal how often salons came back.

    .venv/bin/python -m tests.soak.reconnects --salons 8 --seconds 40

Real processes: PostgreSQL, a pool with its engine hosts, and the local WhatsApp server. One phase after the
other: every login is answered 503; every line is cut as soon as it is up; no connection is taken; every
device is taken over by another program; every number is banned for a while. In none may a salon come back
faster than the policy lets it; after each every salon must be linked again without a code. Prints one JSON
object of figures and fails when a bound is broken.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tests.deployments import deployment_on_own_servers
from tests.pool_processes import Pools
from whatsapp.sessions.policy import QUICK_RETURNS_MOST

# Pauses are drawn between half a second and 1, 2, 4, … 300 s. Attempts of one salon within a phase stay under
# this in all but one of many thousand draws, however long the phase: most pauses are long by then.
ATTEMPTS_MOST = 14
CUT_EVERY = 0.2  # seconds
BAN = 45  # seconds
BACK = 400.0  # seconds; the longest pause is 300
RESTART = """
from whatsapp.sessions import services
from whatsapp.models import Session
for session in Session.objects.filter(status="conflict"):
    services.restart(session=session, reason="soak")
"""


class ServerFaults:
    """The phases and what was counted in each; `seconds` is the length of a phase."""

    def __init__(self, pools: Pools, *, seconds: float) -> None:
        self.pools = pools
        self.seconds = seconds
        self.figures: dict[str, dict[str, Any]] = {}
        self.broken: list[str] = []

    def phase(self, name: str, cause: Callable[[], None], *, most: int, undo: Callable[[], None]) -> None:
        """Cause trouble for a while; count the logins and refusals of each salon, and all connections."""
        before = self._last_number()
        cause()
        events = [event for event in self.pools.journal(before) if event["kind"] in COUNTED]
        undo()
        salons = Counter(event["phone"] for event in events if event["kind"] in ("login", "failure"))
        by_second = Counter(int(event["mono"]) for event in events if event["kind"] == "connect")
        refused = sum(event["kind"] == "refused" for event in events)
        started = time.monotonic()
        self.pools.until(
            lambda: self.pools.are_linked(self.pools.phones), f"linked after {name}", seconds=BACK
        )
        self.figures[name] = {
            "attempts_of_one_salon_most": max(salons.values(), default=0),
            "attempts_of_one_salon_bound": most,
            "connections": sum(by_second.values()),
            "connections_refused": refused,
            "connections_in_one_second_most": max(by_second.values(), default=0),
            "seconds_until_all_linked_again": round(time.monotonic() - started, 1),
        }
        if max(salons.values(), default=0) > most or refused > most * len(self.pools.phones):
            self.broken.append(name)
        print(name, json.dumps(self.figures[name]), flush=True)

    def _last_number(self) -> int:
        events = self.pools.journal()
        return int(events[-1]["seq"]) if events else 0

    def fault(self, kind: str, **more: Any) -> None:
        self.pools.system.whatsapp.fault(kind, **more)

    def lift(self) -> None:
        self.fault("clear")

    # --- what happens --------------------------------------------------------------------------

    def answer_503(self) -> None:
        self.fault("failure", reason=503, times=1_000_000)
        self.fault("drop")
        time.sleep(self.seconds)

    def cut_lines(self) -> None:
        ends = time.monotonic() + self.seconds
        while time.monotonic() < ends:
            self.fault("drop")
            time.sleep(CUT_EVERY)

    def refuse(self) -> None:
        self.fault("refuse", seconds=self.seconds)
        self.fault("drop")
        time.sleep(self.seconds)

    def take_over(self) -> None:
        self.fault("replaced")
        time.sleep(self.seconds)
        if left := self.pools.up():
            self.broken.append(f"came back uncalled: {len(left)}")

    def use_here_again(self) -> None:
        self.pools.system.shell(RESTART)

    def ban(self) -> None:
        self.fault("failure", reason=402, times=len(self.pools.phones), code=101, expire=BAN)
        self.fault("drop")
        time.sleep(min(self.seconds, BAN - 10))

    def run(self) -> None:
        """Every phase once."""
        # The library's own returns come with each attempt that got as far as a login.
        flaps = ATTEMPTS_MOST * (QUICK_RETURNS_MOST + 1)
        self.phase("503", self.answer_503, most=ATTEMPTS_MOST, undo=self.lift)
        self.phase("lines cut", self.cut_lines, most=flaps, undo=self.lift)
        self.phase("refused", self.refuse, most=flaps, undo=self.lift)
        self.phase("taken over", self.take_over, most=0, undo=self.use_here_again)
        self.phase("banned", self.ban, most=1, undo=self.lift)


COUNTED = ("connect", "login", "failure", "refused")


def main() -> None:
    """Print one JSON object of figures; the exit code is 1 when a bound was broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--salons", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=40, help="length of a phase")
    options = parser.parse_args()
    with ExitStack() as closing:
        system = deployment_on_own_servers(
            closing,
            "soak-reconnects",
        )
        pools = closing.enter_context(Pools(system))
        closing.callback(system.close)
        system.manage("migrate")
        pools.add("north")
        system.start("north")
        pools.link(options.salons)
        faults = ServerFaults(pools, seconds=options.seconds)
        faults.run()
        asked = sum(pools.links_by_code()) - len(pools.phones)
        print(json.dumps({"phases": faults.figures, "codes_asked_for_again": asked}, indent=2))
        if faults.broken or asked:
            sys.exit(f"faster than the policy: {', '.join(faults.broken) or 'none'}; codes asked: {asked}")


if __name__ == "__main__":
    main()
