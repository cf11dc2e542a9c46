"""Clients write to every salon all the time while the pools are stopped, again and again; every message has
to be in the database in the end.

    .venv/bin/python -m tests.soak.inbound --rounds 8
    .venv/bin/python -m tests.soak.inbound --rounds 8 --kill [--machines 2]

The library confirms a message to WhatsApp as it hands it on, and nobody repeats it. With `--kill` the pools
are killed. With two machines, which share no folder, a killed pool's salons go to the other one, and what its
hosts had heard is written down a minute after that, when it runs again.
"""

import argparse
import json
import sys
import threading
import time
from contextlib import ExitStack

from tests.deployments import deployment_on_own_servers
from tests.pool_processes import Pools

NAMES = ("north", "south")
CLIENT = "79995551000"
EVERY = 0.02  # seconds between two messages
PATIENCE = 120.0  # seconds; longer than what a killed pool has left is left alone


class Writer(threading.Thread):
    """Writes to the phones in turn until `stop`; `written` are the ids of the messages."""

    def __init__(self, pools: Pools) -> None:
        super().__init__(daemon=True)
        self._whatsapp = pools.system.whatsapp
        self._phones = list(pools.phones.values())
        self._ending = threading.Event()
        self.written: list[str] = []
        self._whatsapp.add_phone(CLIENT)

    def run(self) -> None:
        """Write, as the thread."""
        while not self._ending.wait(EVERY):
            number = len(self.written)
            sent = self._whatsapp.send(CLIENT, self._phones[number % len(self._phones)], f"message {number}")
            self.written.append(sent["id"])

    def end(self) -> None:
        """Write no more."""
        self._ending.set()
        self.join()


def missing(pools: Pools, written: list[str]) -> set[str]:
    """The messages that are not in the database, after some patience."""
    deadline = time.monotonic() + PATIENCE
    while True:
        rows = pools.system.query("SELECT wa_message_id FROM whatsapp_message WHERE direction = 'in'")
        left = set(written) - {row[0] for row in rows}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)


def main() -> None:
    """Print one JSON object of figures; the exit code is 1 when a message was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--salons", type=int, default=3)
    parser.add_argument("--kill", action="store_true", help="kill the pools")
    parser.add_argument("--machines", type=int, choices=(1, 2), default=1)
    options = parser.parse_args()
    with ExitStack() as closing:
        system = deployment_on_own_servers(
            closing,
            "soak-inbound",
            POOL_LEASE_SECONDS="6",
        )
        pools = closing.enter_context(Pools(system))
        closing.callback(system.close)
        system.manage("migrate")
        for name in NAMES:
            pools.add(name, machine="together" if options.machines == 1 else name)
        system.start(*NAMES)
        pools.link(options.salons)
        writer = Writer(pools)
        writer.start()
        for _ in range(options.rounds):
            for name in NAMES:
                time.sleep(1)
                if options.kill:
                    system.kill(name)
                else:
                    system.terminate(name)
                system.start(name)
        writer.end()
        pools.wait_linked(pools.phones)
        lost = missing(pools, writer.written)
        print(
            json.dumps(
                {
                    "stops": options.rounds * len(NAMES),
                    "killed": options.kill,
                    "messages": len(writer.written),
                    "lost": len(lost),
                    "most_connections_of_one_device_at_once": pools.most_at_once(),
                },
                indent=2,
            )
        )
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
