"""Load by wrk: requests a second and latencies of its connections."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Figures:
    """One round; latencies in milliseconds."""

    per_second: float
    p50_ms: float
    p99_ms: float


def measure(url: str, script: Path, seconds: int) -> Figures:
    """Post what the Lua script makes for so many seconds; an answer that is not 2xx ends the bench."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s", "--latency"]
    command += ["-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"{url} refused:\n{output}")
    return Figures(
        per_second=float(_find(r"Requests/sec:\s+([\d.]+)", output)[0]),
        p50_ms=_milliseconds(_find(r"50%\s+([\d.]+)(us|ms|s)", output)),
        p99_ms=_milliseconds(_find(r"99%\s+([\d.]+)(us|ms|s)", output)),
    )


def _find(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if not found:
        raise SystemExit(f"wrk printed nothing like {pattern}:\n{text}")
    return found.groups()


def _milliseconds(value: tuple[str, ...]) -> float:
    return float(value[0]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[value[1]]
