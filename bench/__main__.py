"""Runs the benches one after the other and writes one table into docs/performance.md, under "Last run".

    .venv/bin/python -m bench [--baseline FOLDER] [--only webhooks,push]

FOLDER holds the Node service that this project replaces, after `npm install`; without it the benches that
need it are left out, and no row has a ratio. Figures of different machines cannot be compared; ratios can.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.environment import ROOT

PAGE = ROOT / "docs" / "performance.md"
HEADING = "## Last run"
BASELINE = "BASELINE"  # stands for the option that names the folder; a bench that has it needs a peer
BENCHES: dict[str, list[str]] = {
    "webhooks": [BASELINE, "--servers", "daphne,uvicorn"],
    "operator": [BASELINE, "--servers", "daphne,uvicorn"],
    "push": [BASELINE],
    "pool_messages": ["--messages", "1000"],
    "chain": ["--messages", "500", "--salons", "5"],
    "sessions": ["20", "--restart", "--codes", "10"],
    "support": ["--messages", "200000"],
}
PEERS = ("baseline", "theirs")
LINE = re.compile(r"^\s*(?P<name>\S.*?)\s{2,}(?P<value>[\d.]+.*?)\s*$")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `ratio` is ours to the peer's, empty without one."""

    bench: str
    figure: str
    value: str
    ratio: str = ""


def run(bench: str, baseline: Path | None) -> list[Row]:
    """Run one bench in a process of its own and read what it prints; a failure is a row, too."""
    arguments = BENCHES[bench]
    if BASELINE in arguments:
        arguments = ["--baseline", str(baseline), *arguments[1:]]
    print(f"--- bench.{bench}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{bench}", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    print(done.stdout, flush=True)
    if done.returncode:
        return [Row(bench, "failed", f"exit code {done.returncode}")]
    return rows_of(bench, done.stdout)


def rows_of(bench: str, printed: str) -> list[Row]:
    """The figures of a JSON object, or of lines that end with numbers."""
    start = printed.find("{")
    if start >= 0:
        found, _end = json.JSONDecoder().raw_decode(printed[start:])
        return _rows_of_object(bench, found)
    lines = (LINE.match(line) for line in printed.splitlines())
    return [Row(bench, line["name"], line["value"]) for line in lines if line]


def _rows_of_object(
    bench: str, found: dict[str, Any], prefix: str = "", peer: dict[str, Any] | None = None
) -> list[Row]:
    """A row for each figure; `peer` has the figures of the same names that they are compared with."""
    if not prefix and isinstance(found.get(bench), dict):
        found = found[bench]
    beside = next((found[name] for name in PEERS if isinstance(found.get(name), dict)), None)
    rows = []
    for name, value in found.items():
        if isinstance(value, dict):
            rows += _rows_of_object(bench, value, f"{prefix}{name}.", None if name in PEERS else beside)
            continue
        theirs = peer.get(name) if peer and name != "ratio" else None
        ratio = f"{value / theirs:.2f}" if isinstance(theirs, int | float) and theirs else ""
        rows.append(
            Row(bench, f"{prefix}{name}", str(round(value, 2) if isinstance(value, float) else value), ratio)
        )
    return rows


def machine() -> str:
    """Processor, cores, memory, load and versions, in one line."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    kilobytes = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    memory = int(kilobytes[1]) / 2**20 if kilobytes else 0
    return (
        f"{cpu[1] if cpu else platform.processor()}, {os.cpu_count()} cores, {memory:.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f} at the start"
    )


def write(page: Path, where: str, rows: list[Row]) -> None:
    """Replace the last section of the page."""
    text = page.read_text() if page.exists() else "# Performance\n\n"
    before = text.partition(HEADING)[0].rstrip()
    table = [f"| {row.bench} | {row.figure} | {row.value} | {row.ratio} |" for row in rows]
    head = ["| bench | figure | value | ours / baseline |", "|---|---|---|---|"]
    when = f"{datetime.now(UTC):%Y-%m-%d}, {where}."
    page.write_text("\n".join([before, "", HEADING, "", when, "", *head, *table, ""]))


def main() -> None:
    """Run, print, write; the exit code is 1 when a bench failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--only", default=",".join(BENCHES), help="names, separated by commas")
    options = parser.parse_args()
    where, rows = machine(), []
    for bench in options.only.split(","):
        if BASELINE in BENCHES[bench] and not options.baseline:
            print(f"--- bench.{bench} is left out: it needs --baseline", flush=True)
            continue
        rows += run(bench, options.baseline)
    write(PAGE, where, rows)
    sys.exit(any(row.figure == "failed" for row in rows))


if __name__ == "__main__":
    main()
