"""Runs the benches one after the other and writes one table into docs/performance.md, under "Last run".

    .venv/bin/python -m bench [--baseline FOLDER] [--only webhooks,push] [--limit SECONDS]

FOLDER holds the Node service that this project replaces, after `npm install`; without it the benches that
need it are left out, and no row has a ratio. Figures of different machines cannot be compared; ratios can.

The table is written anew after each bench. One that fails, or takes longer than the limit, is killed with
what it started, and has a row that says so below the figures that it printed.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
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
    "overview": ["--messages", "200000"],
    "support": ["--messages", "200000"],
}
LIMIT = 600.0  # seconds for one bench, everything that it starts included
PEERS = ("baseline", "theirs")
FAILED = "failed"
OBJECT = re.compile(r"^\{", re.MULTILINE)
LINE = re.compile(r"^\s*(?P<name>\S.*?)\s{2,}(?P<value>[\d.]+.*?)\s*$")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `ratio` is ours to the peer's, empty without one."""

    bench: str
    figure: str
    value: str
    ratio: str = ""


def run(bench: str, baseline: Path | None, limit: float) -> list[Row]:
    """Run one bench in a process of its own and read what it prints; a failure is a row, too."""
    arguments = BENCHES[bench]
    if BASELINE in arguments:
        if baseline is None:
            return [Row(bench, "left out", "it needs --baseline")]
        arguments = ["--baseline", str(baseline), *arguments[1:]]
    print(f"--- bench.{bench}", flush=True)
    printed, failure = run_limited([sys.executable, "-m", f"bench.{bench}", *arguments], limit)
    print(printed, flush=True)
    rows = rows_of(bench, printed)
    if not rows and not failure:
        failure = "no figures"
    return [*rows, Row(bench, FAILED, failure)] if failure else rows


def run_limited(command: list[str], limit: float) -> tuple[str, str]:
    """Run a command for at most `limit` seconds; return what it printed and why it failed, if it did."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, start_new_session=True)
        try:
            code = process.wait(limit)
            failure = f"exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            failure = f"stopped after {limit:g} s"
        finally:
            _end(process)
        output.seek(0)
        return output.read(), failure


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and its group; servers in groups of their own are ended by `tests.reaper`."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def rows_of(bench: str, printed: str) -> list[Row]:
    """The figures of the JSON objects that begin a line, or of lines that end with numbers."""
    rows, at = [], 0
    while found := OBJECT.search(printed, at):
        try:
            value, at = json.JSONDecoder().raw_decode(printed, found.start())
        except ValueError:  # the bench was stopped as it printed
            break
        rows += _rows_of_object(bench, value)
    if rows:
        return rows
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
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for one bench")
    options = parser.parse_args()
    where, rows = machine(), []
    for bench in options.only.split(","):
        rows += run(bench, options.baseline, options.limit)
        write(PAGE, where, rows)
    sys.exit(any(row.figure == FAILED for row in rows))


if __name__ == "__main__":
    main()
