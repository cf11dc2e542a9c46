"""Empties the database after a test that commits: only tables that have rows, and nobody's permissions.

Django's flush truncates every table and makes all content types and permissions anew, which takes longer than
most of the tests themselves.
"""

from functools import cache

from django.db import connections, transaction
from django.test import TransactionTestCase

from config import support_group

# What migrations and `post_migrate` make; of the groups only the one that they make is kept.
KEPT = frozenset(
    {"django_migrations", "django_content_type", "auth_permission", "auth_group", "auth_group_permissions"}
)


def install() -> None:
    """Let every test case that commits end this way."""
    TransactionTestCase._fixture_teardown = _empty_all  # type: ignore[attr-defined]


def _empty_all(case: TransactionTestCase) -> None:
    for alias in case._databases_names(include_mirrors=False):  # type: ignore[attr-defined]
        empty(alias)


def empty(alias: str) -> None:
    """Delete all rows but those KEPT. Foreign keys are checked at the commit, so any order does."""
    connection = connections[alias]
    quoted = connection.ops.quote_name
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {quoted(table)})"  # noqa: S608  our own names
                for table in _tables(alias)
            )
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {quoted(table)}")  # noqa: S608
        cursor.execute(
            "DELETE FROM auth_group_permissions"
            " WHERE group_id IN (SELECT id FROM auth_group WHERE name <> %s)",
            [support_group.NAME],
        )
        cursor.execute("DELETE FROM auth_group WHERE name <> %s", [support_group.NAME])


@cache
def _tables(alias: str) -> tuple[str, ...]:
    names = connections[alias].introspection.django_table_names(only_existing=True, include_views=False)
    return tuple(name for name in names if name not in KEPT)
