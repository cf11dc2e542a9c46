"""Reads rows of a database that another process owns, past Django."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import psycopg


def rows_of(database_url: str, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of one statement on a fresh connection; `%s` stands for a parameter on both databases."""
    scheme, _, rest = database_url.partition("://")
    if scheme == "sqlite":
        connection = sqlite3.connect(f"file:{rest.removeprefix('/')}", uri=True, timeout=10)
        try:
            with connection:
                return connection.execute(statement.replace("%s", "?"), parameters).fetchall()
        finally:
            connection.close()
    with psycopg.connect(database_url, connect_timeout=5) as postgres:
        # Statements are written out in the tests, so the literal-only type of psycopg is met by encoding.
        cursor = postgres.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []
