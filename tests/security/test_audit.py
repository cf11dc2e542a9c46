"""The audit finds what is vulnerable and nothing else; the bill of materials names the pinned packages."""

import hashlib
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scripts import audit, sbom
from scripts.pins import Pin, read_pins
from tests.environment import ROOT

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def advisory(name: str = "Django", **changes: Any) -> dict[str, Any]:
    """An OSV advisory on one package, all versions of which are affected."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
        **changes.pop("affected", {}),
    }
    made = {"id": "PYSEC-1", "summary": "Bad", "modified": "2026-11-19T00:00:00Z", "affected": [affected]}
    return {**made, **changes}


def archive(folder: Path, *advisories: dict[str, Any]) -> str:
    path = folder / "all.zip"
    with zipfile.ZipFile(path, "w") as files:
        for number, each in enumerate(advisories):
            files.writestr(f"{number}.json", json.dumps(each))
    return str(path)


def events(*pairs: tuple[str, str]) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in pairs]}]
    return {"ranges": ranges}


def test_a_vulnerable_pin_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main([archive(tmp_path, advisory())], NOW) == 1
    assert "django 5.2" in (said := capsys.readouterr().out) and "PYSEC-1 Bad" in said


def test_nothing_known_is_said_with_the_age_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main([archive(tmp_path, advisory("a-package-that-we-do-not-use"))], NOW) == 0
    assert "2026-11-19" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("affected", "holds"),
    [
        (events(("introduced", "0"), ("fixed", "2.0")), True),
        (events(("introduced", "0"), ("fixed", "1.5")), False),
        (events(("introduced", "1.5"), ("last_affected", "1.5")), True),
        (events(("introduced", "1.5.1")), False),
        (events(("introduced", "0"), ("last_affected", "1.4.9")), False),
        (events(("introduced", "0"), ("fixed", "1.0"), ("introduced", "1.2"), ("fixed", "1.6")), True),
        ({"ranges": [], "versions": ["1.5"]}, True),
        ({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, False),
        ({"package": {"ecosystem": "npm", "name": "Django"}}, False),
    ],
)
def test_versions_are_told_apart(affected: dict[str, Any], holds: bool) -> None:
    found = audit.findings(Pin("django", "1.5", ()), [advisory(affected=affected)])
    assert bool(found) == holds


def test_a_withdrawn_advisory_does_not_count(tmp_path: Path) -> None:
    fresh, withdrawn = advisory("other"), advisory(withdrawn="2026-11-19T00:00:00Z")
    assert audit.main([archive(tmp_path, fresh, withdrawn)], NOW) == 0


def test_an_old_or_missing_file_is_no_clean_bill(tmp_path: Path) -> None:
    assert audit.main([archive(tmp_path, advisory("other", modified="2026-10-01T00:00:00Z"))], NOW) == 2
    assert audit.main([archive(tmp_path)], NOW) == 2
    assert audit.main([str(tmp_path / "none.zip")], NOW) == 2


def test_the_bill_of_materials_is_that_of_the_pinned_packages() -> None:
    requirements = (ROOT / "requirements.txt").read_text()
    assert (ROOT / "docs" / "sbom.json").read_text() == sbom.render(requirements), "run: make sbom"
    pins = read_pins(requirements)
    assert len(pins) == requirements.count("==") > 30
    assert all(pin.hashes for pin in pins)


def test_a_vendored_script_is_the_file_that_was_published() -> None:
    noted = (ROOT / "docs" / "libraries.md").read_text()
    assert sbom.VENDORED
    for script in sbom.VENDORED:
        assert hashlib.sha256(script.read_bytes()).hexdigest() in noted, f"{script.name} was changed"
