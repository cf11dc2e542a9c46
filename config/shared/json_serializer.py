"""Values in the Redis cache as JSON: whoever can write to Redis must not run code here, as with pickle."""

import json
from typing import Any


class JsonSerializer:
    """For Django's Redis cache: numbers stay bare, so that Redis itself can count them."""

    def dumps(self, value: Any) -> int | bytes:
        """Raises TypeError for what JSON cannot hold."""
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, stored: bytes) -> Any:
        """Raises ValueError for what is not JSON."""
        return json.loads(stored)
