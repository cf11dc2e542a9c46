"""The packages that requirements.txt pins, with their hashes."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PIN = re.compile(r"^([A-Za-z0-9._-]{1,100})(?:\[[\w,.-]{1,100}\])?==([^\s;\\]{1,100})")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package: its normalised name, version and the SHA-256 of its files in hex."""

    name: str
    version: str
    hashes: tuple[str, ...]


def read_pins(text: str) -> list[Pin]:
    """The pins of a requirements file in the form of `pip --require-hashes`, sorted by name."""
    found = []
    for block in re.split(r"\n(?=\S)", text.strip()):
        if pin := _PIN.match(block):
            found.append(Pin(normalised(pin[1]), pin[2], tuple(sorted(_HASH.findall(block)))))
    return sorted(found, key=lambda pin: pin.name)


def normalised(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
