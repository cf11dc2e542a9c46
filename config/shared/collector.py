"""Python's garbage collector in a process that runs for weeks."""

import gc


def ignore_loaded() -> None:
    """Let the collector leave out what is loaded by now, for it stays: call it when a process is ready.

    A full pass over the 160,000 objects of a web process stops it for 40 to 100 ms.
    """
    gc.collect()
    gc.freeze()
