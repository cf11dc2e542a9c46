"""What the apps add to the health pages: probes of readiness, and details for operators.

An app registers both in `AppConfig.ready`, from its `health.py`.
"""

from collections.abc import Callable
from typing import Any

Probe = Callable[[], bool]
Details = Callable[[], dict[str, Any]]

_probes: dict[str, Probe] = {}
_details: list[Details] = []


def register_probe(name: str, probe: Probe) -> None:
    """`/readyz` asks `probe` in a thread with a database connection; false or an error is "not ready"."""
    _probes[name] = probe


def register_details(read: Details) -> None:
    """What `read` returns is shown on `/marketplace/health` to those who carry the health token."""
    if read not in _details:
        _details.append(read)


def probes() -> dict[str, Probe]:
    """The registered probes by name."""
    return dict(_probes)


def details() -> dict[str, Any]:
    """All registered details in one dictionary; asks the database."""
    return {name: value for read in _details for name, value in read().items()}
