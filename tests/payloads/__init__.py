"""Bodies as YClients posts them: names and phones replaced, numbers those of the tests' application."""

import json
from pathlib import Path
from typing import Any


def load(name: str, **changes: Any) -> dict[str, Any]:
    """Return the body in `<name>.json` with top-level fields changed; None removes one."""
    body: dict[str, Any] = json.loads((Path(__file__).parent / f"{name}.json").read_text())
    return {key: value for key, value in {**body, **changes}.items() if value is not None}
