"""Where rate limits are counted: in Redis over all our processes, or in this process alone."""

from typing import Any

from limits.storage import MemoryStorage, RedisStorage, Storage

# Seconds; a person or a machine waits for its answer behind this question.
PATIENCE = 1.0
REDIS_OPTIONS: dict[str, Any] = {
    "key_prefix": "salon-whatsapp-limits",
    "socket_timeout": PATIENCE,
    "socket_connect_timeout": PATIENCE,
}


def limit_storage(redis_url: str) -> Storage:
    """A storage at this Redis; without an address one in memory."""
    return RedisStorage(redis_url, **REDIS_OPTIONS) if redis_url else MemoryStorage()
