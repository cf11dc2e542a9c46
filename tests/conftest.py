"""Starts PostgreSQL and Redis once per run and gives Django its environment before any setting is read.

`--db sqlite` runs the same tests on the embedded shape: SQLite and the in-memory channel layer.
`TEST_DATABASE_URL` and `TEST_REDIS_URL` name servers to use instead of starting some. Several pytest-xdist
workers share one PostgreSQL with a database each, and each starts a Redis of its own unless one is named.
"""

import gc
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import environment
from tests.databases import create_database, database_url, drop_database
from tests.server import temporary_folder
from tests.servers import Postgres, Redis, start_postgres, start_redis

POSTGRES = pytest.StashKey[Postgres]()
_stores = itertools.count(1)
MADE_TEMPLATE = pytest.StashKey[bool]()
SERVER_URL, TEMPLATE = "PYTEST_POSTGRES_URL", "PYTEST_TEMPLATE_DATABASE"

# Dozens of processes import the same code; an environment that forbids .pyc files makes each compile it anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Imports and collection make objects that stay: nothing to look for until `pytest_collection_finish`.
gc.disable()


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
    first = not sqlite and TEMPLATE not in os.environ  # xdist's workers inherit what the first process made
    url = f"sqlite:///{data_dir / 'db.sqlite3'}" if sqlite else _template_url(config)
    redis_url = "" if sqlite else os.environ.get("TEST_REDIS_URL") or start_redis().url
    for name in environment.variable_names():
        os.environ.pop(name, None)
    os.environ.update(
        environment.unit_environment(database_url=url, redis_url=redis_url, data_dir=data_dir),
        DJANGO_SETTINGS_MODULE="config.settings",
    )
    _adapt_settings(settings, data_dir, sqlite=sqlite)
    django.setup()
    from tests import emptying  # needs the apps

    if first:
        _migrate_template()
    emptying.install()
    # pytest-xdist's workers inherit the environment, and must reach this function before Django's settings.
    del os.environ["DJANGO_SETTINGS_MODULE"]


def _adapt_settings(settings: Any, data_dir: Path, *, sqlite: bool) -> None:
    database = settings.DATABASES["default"]
    if sqlite:
        # A file, as in production: SQLite's shared in-memory database locks differently.
        database["TEST"] = {"NAME": str(data_dir / "test.sqlite3")}
        database["OPTIONS"]["init_command"] += "PRAGMA synchronous=OFF;"  # no power cut will be survived
    else:
        database["TEST"] = {"TEMPLATE": database["NAME"]}
        # Tests leave connections in threads of their own that no request ends.
        database["OPTIONS"]["pool"]["max_size"] = 40
    # Static files are looked up when they are asked for; else each test client would read all of them.
    settings.WHITENOISE_AUTOREFRESH = True
    # Made to be slow, which tests of what comes after a sign-in do not need.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def _template_url(config: pytest.Config) -> str:
    """The database that is migrated once and copied by all; on the named server, or one started here."""
    if TEMPLATE not in os.environ:
        server_url = os.environ.get("TEST_DATABASE_URL")
        if not server_url:
            config.stash[POSTGRES] = server = start_postgres()
            server_url = server.url
        os.environ[SERVER_URL], os.environ[TEMPLATE] = server_url, f"template_{os.getpid()}"
        create_database(server_url, os.environ[TEMPLATE])
        config.stash[MADE_TEMPLATE] = True
    return database_url(os.environ[SERVER_URL], os.environ[TEMPLATE])


def _migrate_template() -> None:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    connection.close()
    # PostgreSQL copies a database only while nobody is connected to it.
    connection.close_pool()  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the PostgreSQL of this run; what is left ends with the process."""
    if not config.stash.get(MADE_TEMPLATE, False):
        return
    server_url, template = os.environ.pop(SERVER_URL), os.environ.pop(TEMPLATE)
    if server := config.stash.get(POSTGRES, None):
        server.kill()
    else:
        drop_database(server_url, template)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Several processes share the tests by groups."""
    from tests.scheduling import Scheduling  # absent when pytest-xdist is

    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What mostly waits comes first. On SQLite only what touches the database is repeated, see also
    on_sqlite.txt."""
    items.sort(key=lambda item: _rank(item.path))
    if config.getoption("--db") != "sqlite":
        return
    kept = [item for item in items if _uses_database(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_collection_finish() -> None:
    """From here on garbage is collected, but never looked for among what was imported and collected."""
    gc.freeze()
    gc.enable()


def _rank(path: Path) -> int:
    slow = ("journeys", "engine", "sandbox_whatsapp")
    return next((rank for rank, folder in enumerate(slow) if folder in path.parts), len(slow))


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
def _private_store(settings: Any) -> None:
    """No test reads another's WhatsApp key stores."""
    settings.WHATSAPP_STORE_DIR = settings.DATA_DIR / f"whatsapp-{next(_stores)}"
