"""Whoever can write to Redis can put wrong values into the cache, and runs no code by them."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache.backends.redis import RedisCache

from tests.servers import Redis


class Harmful:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture
def cache(own_redis: Redis) -> RedisCache:
    """The product's cache on a Redis of its own."""
    if not settings.REDIS_URL:
        pytest.skip("the embedded shape has no Redis")
    return RedisCache(own_redis.url, {"OPTIONS": settings.CACHES["default"]["OPTIONS"]})


def test_a_pickle_in_redis_is_not_run(cache: RedisCache, tmp_path: Path) -> None:
    target = tmp_path / "made"
    raw = cache._cache.get_client(None, write=True)
    raw.set(cache.make_key("word"), pickle.dumps(Harmful(target)))
    with pytest.raises(ValueError):
        cache.get("word")
    assert not target.exists()


def test_values_come_back_as_they_were_and_numbers_can_be_counted(cache: RedisCache) -> None:
    for value in ("word", 7, -1, 1.5, True, None, [1, "a"], {"a": {"b": 1}}):
        cache.set("value", value)
        assert cache.get("value", "absent") == value
    cache.set("number", 1)
    assert (cache.incr("number"), cache.get("number")) == (2, 2)
