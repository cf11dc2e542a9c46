"""The two shapes that every fast test runs on are the ones that were asked for."""

import os

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection


@pytest.mark.django_db
def test_tests_run_on_the_database_that_was_asked_for(request: pytest.FixtureRequest) -> None:
    wanted = request.config.getoption("--db").replace("postgres", "postgresql")
    assert connection.vendor == wanted
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_migrations")
        assert cursor.fetchone()[0] > 0


@pytest.mark.django_db
def test_the_cache_is_shared_only_where_redis_is(request: pytest.FixtureRequest) -> None:
    assert bool(settings.REDIS_URL) == (request.config.getoption("--db") == "postgres")
    cache.set("word", os.environ.get("PYTEST_XDIST_WORKER", "alone"))
    assert cache.get("word") == os.environ.get("PYTEST_XDIST_WORKER", "alone")


def test_nothing_of_the_shell_reaches_the_settings() -> None:
    assert settings.YCLIENTS_API_URL != settings.YCLIENTS_REAL_API_URL
    assert not settings.DEBUG
