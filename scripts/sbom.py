"""Writes docs/sbom.json: what the product is made of (CycloneDX 1.6), from its pins and vendored scripts.

    .venv/bin/python -m scripts.sbom [--check]

Needs no network. The file has no time and no serial number, so that it changes with the packages only.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from scripts.pins import ROOT, Pin, read_pins

TARGET = ROOT / "docs" / "sbom.json"
NAME = "yclients-whatsapp"
VENDORED = sorted((ROOT / "onboarding" / "static" / "onboarding" / "vendor").glob("*.js"))


def main(arguments: list[str]) -> int:
    """Exit code: 1 when `--check` finds the file out of date."""
    text = render((ROOT / "requirements.txt").read_text())
    if "--check" in arguments:
        current = TARGET.exists() and TARGET.read_text() == text
        if not current:
            sys.stderr.write("docs/sbom.json is out of date: run  make sbom\n")
        return 0 if current else 1
    TARGET.write_text(text)
    sys.stdout.write(f"{TARGET.relative_to(ROOT)}: {text.count('bom-ref') - 1} packages\n")
    return 0


def render(requirements: str) -> str:
    """The whole file for the text of a requirements file."""
    product: dict[str, Any] = {"bom-ref": NAME, "type": "application", "name": NAME}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": product},
        "components": [
            *(_component(pin) for pin in read_pins(requirements)),
            *(_vendored(script) for script in VENDORED),
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def _component(pin: Pin) -> dict[str, Any]:
    address = f"pkg:pypi/{pin.name}@{pin.version}"
    hashes = [
        {"type": "distribution", "url": address, "hashes": [{"alg": "SHA-256", "content": each}]}
        for each in pin.hashes
    ]
    return {
        "bom-ref": address,
        "type": "library",
        "name": pin.name,
        "version": pin.version,
        "purl": address,
        "externalReferences": hashes,
    }


def _vendored(script: Path) -> dict[str, Any]:
    """A file of an npm package, called NAME-VERSION.js, that we serve as it was published."""
    name, _dash, version = script.stem.rpartition("-")
    address = f"pkg:npm/{name}@{version}"
    return {
        "bom-ref": address,
        "type": "library",
        "name": name,
        "version": version,
        "purl": address,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(script.read_bytes()).hexdigest()}],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
