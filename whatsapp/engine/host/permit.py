"""Until when a host may go on, as every ping of its supervisor names it.

A pool that is paused keeps the line to its hosts open while its leases run out and another pool takes its
sessions over; one that is cut off from the database goes on speaking to them. In both cases the host's own
clock ends it in time: the monotonic clock is the same for every process of a machine.
"""

from __future__ import annotations

import os
import sys
import time


class Permit:
    """Good for `silence` seconds, and from then on for what each ping allows."""

    def __init__(self, silence: float) -> None:
        self._until = time.monotonic() + silence
        self._check_interval = min(0.5, silence / 8)

    def extend(self, until: float) -> None:
        """Go on until this moment of the monotonic clock, be it sooner or later than the one before."""
        self._until = until

    def end_when_over(self) -> None:
        """End this process when the permit has run out; runs on a thread of its own."""
        while (left := self._until - time.monotonic()) > 0:
            time.sleep(min(self._check_interval, left))
        sys.stderr.write("not permitted to go on by the supervisor, ending\n")
        os._exit(1)
