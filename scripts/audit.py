"""Known vulnerabilities in the pinned packages, from a file of advisories; needs no network.

    .venv/bin/python -m scripts.audit [ADVISORIES]

ADVISORIES is an archive of OSV's for PyPI, `data/advisories.zip` unless named:
    curl -fo data/advisories.zip https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip
A machine without network gets the file by any other way. Exit codes: 0 nothing found, 1 something is
vulnerable, 2 there is no file, or it is older than 14 days.
"""

import json
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from scripts.pins import ROOT, Pin, normalised, read_pins

FILES = ("requirements.txt", "requirements-dev.txt")
OLDEST = timedelta(days=14)


def main(arguments: list[str], now: datetime | None = None) -> int:
    """Print a line for each vulnerable package and return the exit code."""
    archive = Path(arguments[0]) if arguments else ROOT / "data" / "advisories.zip"
    if not archive.exists():
        sys.stderr.write(f"{archive} is missing.\n{__doc__}")
        return 2
    pins = [pin for name in FILES for pin in read_pins((ROOT / name).read_text())]
    advisories = list(read_advisories(archive))
    newest = max((str(each.get("modified", "")) for each in advisories), default="")
    found = [line for pin in pins for line in findings(pin, advisories)]
    for line in found:
        sys.stdout.write(f"{line}\n")
    if found:
        return 1
    if not newest or (now or datetime.now(UTC)) - datetime.fromisoformat(newest) > OLDEST:
        sys.stderr.write(f"The newest advisory in {archive} is of {newest or 'never'}: get a newer file.\n")
        return 2
    sys.stdout.write(f"{len(pins)} packages, {len(advisories)} advisories until {newest}: nothing known.\n")
    return 0


def read_advisories(archive: Path) -> Iterator[dict[str, Any]]:
    """The advisories of the archive that were not withdrawn. Raises ValueError for what is not OSV's."""
    with zipfile.ZipFile(archive) as files:
        for name in files.namelist():
            if name.endswith(".json"):
                advisory = json.loads(files.read(name))
                if "withdrawn" not in advisory:
                    yield advisory


def findings(pin: Pin, advisories: list[dict[str, Any]]) -> list[str]:
    """A line for each advisory that concerns this version."""
    return [
        f"{pin.name} {pin.version}: {advisory['id']} {advisory.get('summary', '')}".strip()
        for advisory in advisories
        for affected in advisory.get("affected", [])
        if _is_of(affected, pin) and _holds(affected, pin.version)
    ]


def _is_of(affected: dict[str, Any], pin: Pin) -> bool:
    package = affected.get("package", {})
    return package.get("ecosystem") == "PyPI" and normalised(package.get("name", "")) == pin.name


def _holds(affected: dict[str, Any], version: str) -> bool:
    if version in affected.get("versions", []):
        return True
    ranges = [each for each in affected.get("ranges", []) if each.get("type") == "ECOSYSTEM"]
    return any(_in_range(each.get("events", []), Version(version)) for each in ranges)


def _in_range(events: list[dict[str, str]], version: Version) -> bool:
    """OSV's rule: the last event at or below the version decides, in the order of versions."""
    inside = False
    for kind, text in sorted((item for each in events for item in each.items()), key=_place):
        at = _version(text)
        if kind == "introduced" and at <= version:
            inside = True
        elif (kind == "fixed" and at <= version) or (kind == "last_affected" and at < version):
            inside = False
    return inside


def _place(event: tuple[str, str]) -> Version:
    return _version(event[1])


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
