"""Starts PostgreSQL and Redis once per run and gives Django its environment before any setting is read.

`--db sqlite` runs the same tests on the embedded shape: SQLite and the in-memory channel layer.
`TEST_DATABASE_URL` and `TEST_REDIS_URL` name servers to use instead of starting some. Several pytest-xdist
workers share one PostgreSQL with a database each, and each starts a Redis of its own unless one is named.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import environment
from tests.server import temporary_folder
from tests.servers import Postgres, Redis, start_postgres, start_redis

POSTGRES = pytest.StashKey[Postgres]()
STARTED_HERE = "PYTEST_DATABASE_URL"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--db`."""
    parser.addoption(
        "--db", choices=("postgres", "sqlite"), default="postgres", help="database of the fast tests"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Brings up the servers and loads Django; pytest-django finds it ready."""
    import django
    from django.conf import settings

    if settings.configured:
        raise pytest.UsageError("unset DJANGO_SETTINGS_MODULE: the tests choose their own settings")
    data_dir = temporary_folder("yclients-whatsapp-tests")
    (data_dir / "static").mkdir()  # as after collectstatic; WhiteNoise warns without it
    sqlite = config.getoption("--db") == "sqlite"
    database_url = f"sqlite:///{data_dir / 'db.sqlite3'}" if sqlite else _postgres_url(config)
    redis_url = "" if sqlite else os.environ.get("TEST_REDIS_URL") or start_redis().url
    for name in environment.variable_names():
        os.environ.pop(name, None)
    os.environ.update(
        environment.unit_environment(database_url=database_url, redis_url=redis_url, data_dir=data_dir),
        DJANGO_SETTINGS_MODULE="config.settings",
    )
    if not sqlite:
        # Tests leave connections in threads of their own that no request ends.
        settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"] = 40
    if sqlite:
        # A file, as in production: SQLite's shared in-memory database locks differently.
        settings.DATABASES["default"]["TEST"] = {"NAME": str(data_dir / "test.sqlite3")}
    django.setup()
    from tests import emptying  # needs the apps

    emptying.install()
    # pytest-xdist's workers inherit the environment, and must reach this function before Django's settings.
    del os.environ["DJANGO_SETTINGS_MODULE"]


def _postgres_url(config: pytest.Config) -> str:
    """The named server, or one started here; xdist's workers inherit its address from the environment."""
    if url := os.environ.get("TEST_DATABASE_URL") or os.environ.get(STARTED_HERE):
        return url
    config.stash[POSTGRES] = server = start_postgres()
    url = os.environ[STARTED_HERE] = server.create_database("product")
    return url


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the PostgreSQL of this run; what is left ends with the process."""
    if server := config.stash.get(POSTGRES, None):
        del os.environ[STARTED_HERE]
        server.kill()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Journeys first, for they are long and mostly wait. The second run, on SQLite, repeats only what
    touches the database."""
    items.sort(key=lambda item: "journeys" not in item.path.parts)
    if config.getoption("--db") != "sqlite":
        return
    kept = [item for item in items if _uses_database(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _uses_database(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return item.get_closest_marker("django_db") is not None or not {"db", "transactional_db"}.isdisjoint(
        fixtures
    )


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """A cluster of our own takes its test database along; dropping it would wait for late connections."""
    return "TEST_DATABASE_URL" not in os.environ


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    """A Redis that the test may stop, kill and restart."""
    with start_redis() as server:
        yield server


@pytest.fixture(autouse=True)
def _private_store(settings: object, tmp_path: Path) -> None:
    """No test reads another's WhatsApp key stores."""
    settings.WHATSAPP_STORE_DIR = tmp_path / "whatsapp"  # type: ignore[attr-defined]
