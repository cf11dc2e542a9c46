"""A release is installed beside the running one: its migrations must not break what the older code does.

Expand, then contract: a release adds columns and tables that the older code knows nothing of; what nobody
uses any more goes a release later. docs/deploy.md tells operators the order.
"""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import SERVER_URL
from tests.databases import create_database, drop_database, rows_of
from tests.forked_processes import run_forked

# Where the last release's migrations end.
PREVIOUS_RELEASE = {"whatsapp": "0005_list_indexes", "marketplace": "0006_who_is_taken_to_know"}
COLUMNS = """
SELECT table_name, column_name, is_nullable = 'YES' OR column_default IS NOT NULL OR is_identity = 'YES'
FROM information_schema.columns WHERE table_schema = 'public'
"""
OLD_ROWS = (
    "INSERT INTO whatsapp_pool (name, started_at, heartbeat_at, capacity, sessions, hosts, rss_bytes,"
    " own_rss_bytes, engine_hosts) VALUES ('p', now(), now(), 1, 1, 1, 1, 1, '[]') RETURNING name",
    "INSERT INTO marketplace_chore (name, next_at, report) VALUES ('prune', now(), '{}') RETURNING name",
)

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def empty_database() -> Iterator[str]:
    """The address of a database without tables."""
    name = f"upgrade_{os.getpid()}"
    yield create_database(os.environ[SERVER_URL], name)
    drop_database(os.environ[SERVER_URL], name)


MIGRATE = """
import sys
from django.core.management import call_command
for target in sys.argv[1:]:
    call_command("migrate", *filter(None, target.split(":")), interactive=False, verbosity=0)
"""


def migrate(url: str, *targets: str) -> None:
    """Migrate the database at `url` to each target in turn: `app:migration`, or everything (`:`)."""
    environment = {**os.environ, "DATABASE_URL": url, "SECRET_KEY": "k" * 50, "DEBUG": "true"}
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings"
    code = f"import django; django.setup(){MIGRATE}"
    command = [sys.executable, "-c", code, *targets]
    done = run_forked(command, environment=environment)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def upgraded(empty_database: str) -> tuple[str, dict[tuple[str, str], bool]]:
    """A database of the last release with rows in it, migrated; and the columns that it had before."""
    url = empty_database
    migrate(url, *(f"{app}:{name}" for app, name in PREVIOUS_RELEASE.items()))
    for statement in OLD_ROWS:
        rows_of(url, statement)
    before = {(table, column): fillable for table, column, fillable in rows_of(url, COLUMNS)}
    migrate(url, ":")
    return url, before


def test_the_older_code_can_go_on_writing_while_the_new_schema_is_there(
    upgraded: tuple[str, dict[tuple[str, str], bool]],
) -> None:
    url, before = upgraded
    tables = {table for table, _column in before}
    unknown_to_old_code = [
        f"{table}.{column}"
        for table, column, fillable in rows_of(url, COLUMNS)
        if table in tables and (table, column) not in before and not fillable
    ]
    assert unknown_to_old_code == [], "give these columns a db_default: the older code does not fill them in"


def test_the_older_code_finds_everything_that_it_reads(
    upgraded: tuple[str, dict[tuple[str, str], bool]],
) -> None:
    url, before = upgraded
    after = {(table, column) for table, column, _fillable in rows_of(url, COLUMNS)}
    assert sorted(set(before) - after) == []


def test_rows_of_the_last_release_are_kept(upgraded: tuple[str, dict[tuple[str, str], bool]]) -> None:
    url, _before = upgraded
    assert rows_of(url, "SELECT name FROM whatsapp_pool") == [("p",)]
    assert rows_of(url, "SELECT name FROM marketplace_chore") == [("prune",)]
