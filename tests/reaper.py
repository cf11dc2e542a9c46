"""Ends child processes and removes temporary folders when the process that made them is gone.

`atexit` does not run after `kill -9`, and a cancelled CI job is ended like that. So the first use starts one
small watcher process that holds the read end of a pipe: when the pipe closes, its owner is dead, and what is
still on the watcher's list is killed and removed.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

_watchers: dict[int, IO[str]] = {}


def _tell(line: str) -> None:
    """Sends one line to this process's watcher (a forked child gets a watcher of its own)."""
    pipe = _watchers.get(os.getpid())
    if pipe is None:
        watcher = subprocess.Popen(
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert watcher.stdin is not None
        pipe = _watchers[os.getpid()] = watcher.stdin
    pipe.write(f"{line}\n")
    pipe.flush()


def watch_process(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Has process group `pid` sent the signal `how` when this process dies."""
    _tell(f"process {pid} {int(how)}")


def forget_process(pid: int) -> None:
    """Takes an ended process off the list, because its number may be given to another."""
    _tell(f"forget {pid}")


def watch_folder(path: Path) -> None:
    """Has a folder removed, after the processes, when this process dies or exits."""
    _tell(f"folder {path}")


def _watch() -> None:
    processes: dict[int, int] = {}
    folders: list[str] = []
    for line in sys.stdin:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "process":
            pid, how = rest.split()
            processes[int(pid)] = int(how)
        elif word == "forget":
            processes.pop(int(rest), None)
        elif word == "folder":
            folders.append(rest)
    for pid, how in processes.items():
        if Path(f"/proc/{pid}").exists():
            os.killpg(pid, how)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _watch()
