"""What processes cost, by the kernel's word."""

import os
import time
from pathlib import Path


def family(root: int) -> list[int]:
    """A process and all that it started and that still runs."""
    children = [pid for line in _lines(root, f"task/{root}/children") for pid in line.split()]
    if not status(root, "VmRSS"):  # ended, and only not yet asked for by its parent
        return []
    return [root, *(child for pid in children for child in family(int(pid)))]


def _lines(pid: int, name: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/{name}").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # ended meanwhile, it costs nothing any more
        return []


def status(pid: int, name: str) -> int:
    """A number of /proc/PID/status: kilobytes for memory."""
    return next((int(line.split()[1]) for line in _lines(pid, "status") if line.startswith(f"{name}:")), 0)


def proportional_kb(pids: list[int]) -> int:
    """Memory in which each shared page counts once among those who share it (PSS)."""
    lines = [line for pid in pids for line in _lines(pid, "smaps_rollup")]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def cpu_seconds(pids: list[int]) -> float:
    """Processor time that these have used."""
    ticks = 0
    for line in (line for pid in pids for line in _lines(pid, "stat")):
        fields = line.rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_percent(pids: list[int], seconds: float) -> float:
    """Of one core, over so many seconds."""
    before, started = cpu_seconds(pids), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_seconds(pids) - before) / (time.monotonic() - started)
